// Before anything is drawn: the theme that was chosen, else the system's.
"use strict";
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const CHOICES = ["system", "light", "dark"];
  let chosen = "system";
  try {
    const kept = localStorage.getItem("theme");
    if (CHOICES.includes(kept)) chosen = kept;
  } catch { /* a browser that keeps nothing */ }

  function apply() {
    const dark = chosen === "dark" || (chosen === "system" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${chosen}`;
    dispatchEvent(new Event("theme"));
  }

  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      chosen = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
      try { localStorage.setItem("theme", chosen); } catch { /* a browser that keeps nothing */ }
      apply();
    });
    apply();
  });
  apply();
})();
