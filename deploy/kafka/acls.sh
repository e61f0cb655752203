#!/bin/sh
# Gives a user of Kafka the rights that its part needs, and no others. docs/security.md has them as a table.
#
#   BOOTSTRAP=broker:9092 COMMAND_CONFIG=admin.properties ./acls.sh daemon User:detector
#   ./acls.sh pipeline User:airflow
#
# KAFKA_ACLS names the tool where it is not on the PATH as kafka-acls.sh. Topics have the names of
# the configuration: set the same DETECTOR_TOPICS__... as for Detector. What is there already stays as it is.
set -eu

usage() {
    cat >&2 <<'END'
usage: acls.sh PART USER...
  daemon    the stages ingest and worker of detector run; topics.create: true also needs `creator`
  api       the stage api of detector run: without --stages it is all three, and needs both
  creator   making topics that are missing
  alert     detector alert
  executor  detector execute --apply
  operator  detector doctor, reset, seed, state; together with `daemon`
  oncall    what people say: feedback, override, probe, mute; and reading what is told
  reader    detector tail, check --from kafka, incidents: whoever only reads
  pipeline  sending events (detector emit, detector.client) and following breakers
END
    exit 2
}

log=${DETECTOR_TOPICS__LOG:-detector.observations}
control=${DETECTOR_TOPICS__CONTROL:-detector.control}
breakers=${DETECTOR_TOPICS__BREAKERS:-detector.breakers}
incidents=${DETECTOR_TOPICS__INCIDENTS:-detector.incidents}
runs=${DETECTOR_TOPICS__RUNS:-detector.runs}
alerts=${DETECTOR_TOPICS__ALERTS:-detector.alerts}
commands=${DETECTOR_TOPICS__COMMANDS:-detector.commands}
snapshots=${DETECTOR_TOPICS__SNAPSHOTS:-detector.snapshots}
letters=${DETECTOR_TOPICS__DEAD_LETTERS:-detector.dead-letters}
# A list with commas, as for Detector.
inputs=$(printf %s "${DETECTOR_TOPICS__INPUTS:-openlineage.events,pipeline.run-events,pipeline.profiles}" | tr -d ' []' | tr , ' ')

# allow "OPERATIONS" --topic NAME... | --group NAME | --transactional-id NAME [--resource-pattern-type prefixed]
allow() {
    operations=
    for operation in $1; do operations="$operations --operation $operation"; done
    shift
    # shellcheck disable=SC2086  # a list of options, none of which has a blank in it
    "${KAFKA_ACLS:-kafka-acls.sh}" --bootstrap-server "${BOOTSTRAP:-localhost:9092}" \
        ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \
        --add --allow-principal "$user" $operations "$@" >/dev/null
}

# Readers that belong to no group ask all the same where their group is.
outside_groups() { allow "Describe" --group detector- --resource-pattern-type prefixed; }

topics() { for topic in "$@"; do printf ' --topic %s' "$topic"; done; }

part() {
    # shellcheck disable=SC2046
    case $1 in
    daemon)
        allow "Read" $(topics $inputs)
        allow "Read DescribeConfigs" --topic "$commands"
        allow "Read Write DescribeConfigs" $(topics "$log" "$breakers" "$incidents" "$snapshots" "$runs")
        allow "Write DescribeConfigs" $(topics "$control" "$letters")
        allow "Describe DescribeConfigs" --topic "$alerts"
        allow "Read" --group "$log." --resource-pattern-type prefixed
        allow "Write" --transactional-id "$log." --resource-pattern-type prefixed
        outside_groups
        ;;
    creator)
        allow "Create" $(topics $inputs "$log" "$control" "$breakers" "$incidents" "$runs" "$alerts" "$commands" "$snapshots" "$letters")
        ;;
    api)
        allow "Describe" $(topics $inputs)
        allow "Describe DescribeConfigs" $(topics "$log" "$snapshots" "$letters" "$alerts")
        allow "Read DescribeConfigs" $(topics "$control" "$breakers" "$incidents" "$runs")
        allow "Read Write DescribeConfigs" --topic "$commands"
        outside_groups
        ;;
    alert)
        allow "Describe DescribeConfigs" --topic "$log"
        allow "Read DescribeConfigs" --topic "$incidents"
        allow "Read Write DescribeConfigs" --topic "$alerts"
        allow "Read" --group "$log.alert." --resource-pattern-type prefixed
        ;;
    executor)
        allow "Read" --topic "$control"
        allow "Read" --group "$log.execute"
        ;;
    operator)
        allow "Read" $(topics "$control" "$runs" "$letters")
        allow "Read" --group detector-doctor
        allow "Write" --transactional-id detector-doctor
        ;;
    oncall)
        allow "Read" $(topics "$control" "$breakers" "$incidents" "$runs")
        allow "Write" --topic "$commands"
        outside_groups
        ;;
    reader)
        allow "Read" $(topics "$control" "$breakers" "$incidents" "$runs")
        outside_groups
        ;;
    pipeline)
        allow "Write" $(topics $inputs)
        allow "Read" --topic "$breakers"
        outside_groups
        ;;
    *) usage ;;
    esac
}

[ $# -ge 2 ] || usage
role=$1
shift
for user in "$@"; do
    part "$role"
    echo "$user has the rights of $role"
done
