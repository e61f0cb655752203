select id, customer, amount, status from read_csv('orders.csv')
