(() => {
  const rules = [...document.querySelectorAll(".rule")];
  const bar = document.querySelector(".filter.rules");
  if (!bar) return;
  const results = [...bar.querySelectorAll("[data-result]")];
  const changed = bar.querySelector("[data-changed]");
  const severity = bar.querySelector("select");
  const words = bar.querySelector("input");
  const open = bar.querySelector("[data-open]");
  const count = bar.querySelector("output");
  const chapters = [...document.querySelectorAll("[data-chapter]")];
  const empty = document.querySelector("main .empty");
  const texts = new Map(rules.map(rule => [rule, rule.textContent.toLowerCase()]));
  const pressed = button => button.getAttribute("aria-pressed") === "true";
  const press = (button, down) => button.setAttribute("aria-pressed", down);

  const show = () => {
    const result = results.find(pressed).dataset.result;
    const least = Number(severity.value);
    const chapter = chapters.find(pressed)?.dataset.chapter;
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const rule of rules) {
      const match = (!result || rule.dataset.is === result) &&
        Number(rule.dataset.severity) >= least &&
        (!changed || !pressed(changed) || rule.hasAttribute("data-was")) &&
        (!chapter || rule.dataset.sections.split("|").some(s => (s + ".").startsWith(chapter))) &&
        wanted.every(word => texts.get(rule).includes(word));
      rule.hidden = !match;
      shown += match;
    }
    empty.hidden = shown > 0;
    count.textContent = shown + " of " + rules.length + " rules" + (chapter ? ", of " + chapter.slice(0, -1) : "");
  };

  for (const button of results) {
    button.addEventListener("click", () => {
      for (const other of results) press(other, other === button);
      show();
    });
  }
  for (const button of chapters) {
    button.addEventListener("click", () => {
      const down = !pressed(button);
      for (const other of chapters) press(other, other === button && down);
      show();
    });
  }
  changed?.addEventListener("click", () => {
    press(changed, !pressed(changed));
    show();
  });
  open.addEventListener("click", () => {
    press(open, !pressed(open));
    for (const rule of rules) rule.open = pressed(open);
  });
  severity.addEventListener("change", show);
  words.addEventListener("input", show);
  document.addEventListener("keydown", event => {
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      words.focus();
    }
    if (event.key === "Escape" && event.target === words) {
      words.value = "";
      show();
    }
  });
  bar.hidden = false;
  show();
})();

(() => {
  const bar = document.querySelector(".cves .filter");
  if (!bar) return;
  const list = [...document.querySelectorAll(".cve")];
  const sorts = [...bar.querySelectorAll("[data-sort]")];
  const only = [...bar.querySelectorAll("[data-only]")];
  const severity = bar.querySelector("select");
  const words = bar.querySelector("input");
  const count = bar.querySelector("output");
  const empty = document.querySelector(".cves .empty");
  const texts = new Map(list.map(cve => [cve, cve.textContent.toLowerCase()]));
  const pressed = button => button.getAttribute("aria-pressed") === "true";

  const show = () => {
    const sort = sorts.find(pressed).dataset.sort;
    const least = Number(severity.value);
    const marks = only.filter(pressed).map(button => "data-" + button.dataset.only);
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const cve of list) {
      const match = (!sort || cve.dataset.sort === sort) &&
        Number(cve.dataset.severity) >= least &&
        marks.every(mark => cve.hasAttribute(mark)) &&
        wanted.every(word => texts.get(cve).includes(word));
      cve.hidden = !match;
      shown += match;
    }
    empty.hidden = shown > 0;
    count.textContent = shown + " of " + list.length + " vulnerabilities";
  };

  for (const button of sorts) {
    button.addEventListener("click", () => {
      for (const other of sorts) other.setAttribute("aria-pressed", other === button);
      show();
    });
  }
  for (const button of only) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", !pressed(button));
      show();
    });
  }
  severity.addEventListener("change", show);
  words.addEventListener("input", show);
  bar.hidden = false;
  show();
})();
