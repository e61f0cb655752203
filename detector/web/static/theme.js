// Before anything is painted: the theme that was chosen, if one was. Not a module, since those wait.
"use strict";
(() => {
  const chosen = localStorage.getItem("detector.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
