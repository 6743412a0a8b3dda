
"use strict";
// Searches, sorts and scrolls the table. Only the rows in sight are in the document. Everything from the trace is set as
// text, never as markup.
(() => {
  const scroll = document.getElementById("scroll");
  if (!scroll) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const body = document.getElementById("rows");
  const found = document.getElementById("found");
  const detail = document.getElementById("detail");
  const table = document.getElementById("table");
  // A row's fields, as the program writes them.
  const [DIR, LEAF, OWNER, REMOVED, AGE, AT_LEAST, STATE, USAGE, PIN, HELD, CACHES, MEMCG, CGROUP, TASK] = Array(14).keys();
  const ROW = 26; // pixels, as in the style
  const SPARE = 20; // rows above and below what is in sight
  const PRINTED = 1000;
  const rows = data.rows;
  const words = data.words;
  const dash = "\u2013";

  const path = (row) => row[DIR] === null ? row[LEAF] || dash : data.dirs[row[DIR]] + row[LEAF];
  const owner = (row) => data.owners[row[OWNER]][1];
  const state = (row) => data.states[row[STATE]];
  const pin = (row) => row[PIN] === null ? null : data.pins[row[PIN]];
  const task = (row) => row[TASK] === null ? "" : data.tasks[row[TASK]];
  const two = (n) => String(n).padStart(2, "0");
  const fill = (text, first, second) => text.replace("{0}", first).replace("{1}", second);
  const number = (n) => n === null ? dash : String(n);

  function time(ms) {
    if (ms === null) return dash;
    const date = new Date(data.began + ms);
    return isNaN(date) ? dash : date.toISOString().slice(0, 19).replace("T", " ");
  }
  function duration(ms, atLeast) {
    if (ms === null) return dash;
    const s = Math.floor(ms / 1000);
    const text = ms === 0 ? "0 s"
      : ms < 1000 ? ms + ".0 ms"
      : s < 60 ? s + "." + Math.floor(ms % 1000 / 100) + " s"
      : s < 3600 ? Math.floor(s / 60) + " m " + two(s % 60) + " s"
      : s < 86400 ? Math.floor(s / 3600) + " h " + two(Math.floor(s / 60) % 60) + " m"
      : Math.floor(s / 86400) + " d " + two(Math.floor(s / 3600) % 24) + " h";
    return (atLeast ? "\u2265 " : "") + text;
  }
  function bytes(n) {
    if (n === null) return dash;
    if (n < 1024) return n + " B";
    const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = 0;
    let size = n / 1024;
    while (size >= 1024) { size /= 1024; unit += 1; }
    return Math.floor(size) + "." + Math.floor(size % 1 * 10) + " " + units[unit];
  }

  let printing = false;
  const columns = [
    // The end of a path tells them apart; on paper there is room for all of it.
    { of: path, text: (row) => printing ? path(row) : row[LEAF] || path(row), title: path, class: "name" },
    { of: owner, text: owner, title: owner, class: "name" },
    { of: state, text: state, class: "" },
    { of: (row) => row[AGE], text: (row) => duration(row[AGE], row[AT_LEAST]), class: "n" },
    { of: (row) => row[REMOVED], text: (row) => time(row[REMOVED]), class: "t" },
    { of: (row) => row[USAGE], text: (row) => bytes(row[USAGE]), class: "n" },
    { of: pin, text: (row) => pin(row) ?? dash, class: "" },
    { of: (row) => row[HELD], text: (row) => bytes(row[HELD]), class: "n" },
    { of: (row) => row[MEMCG], text: (row) => number(row[MEMCG]), class: "n" },
  ];

  let shown = rows.map((_, at) => at);
  let texts = null; // what is searched, made once it is needed
  let sorting = null;
  let chosen = null;

  function pad(height) {
    const row = document.createElement("tr");
    row.className = "pad";
    row.setAttribute("aria-hidden", "true");
    const cell = document.createElement("td");
    cell.colSpan = columns.length;
    cell.style.height = height + "px";
    row.append(cell);
    return row;
  }
  function line(at, place) {
    const row = document.createElement("tr");
    row.dataset.row = at;
    row.setAttribute("aria-rowindex", place + 1);
    if (at === chosen) row.className = "chosen";
    for (const column of columns) {
      const cell = document.createElement("td");
      cell.textContent = column.text(rows[at]);
      cell.className = column.class;
      if (column.title) cell.title = column.title(rows[at]);
      row.append(cell);
    }
    return row;
  }
  function draw(from, to) {
    from = Math.max(0, Math.min(from, shown.length));
    to = Math.max(from, Math.min(to, shown.length));
    const lines = [];
    if (from > 0) lines.push(pad(from * ROW));
    for (let place = from; place < to; place += 1) lines.push(line(shown[place], place));
    if (to < shown.length) lines.push(pad((shown.length - to) * ROW));
    body.replaceChildren(...lines);
  }
  function sight() {
    const first = Math.floor(scroll.scrollTop / ROW);
    draw(first - SPARE, first + Math.ceil(scroll.clientHeight / ROW) + SPARE);
  }
  function count() {
    const all = rows.length.toLocaleString("en");
    found.textContent = shown.length === rows.length ? all : fill(words.found, shown.length.toLocaleString("en"), all);
  }
  function order() {
    if (sorting === null) return;
    const { of } = columns[sorting.column];
    const keys = rows.map(of);
    const sign = sorting.down ? -1 : 1;
    shown.sort((a, b) => {
      const [x, y] = [keys[a], keys[b]];
      if (x === y) return a - b;
      if (x === null) return 1; // what is not known comes last, either way
      if (y === null) return -1;
      return x < y ? -sign : sign;
    });
  }
  function search(text) {
    const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
    if (texts === null && words.length > 0) {
      texts = rows.map((row) =>
        [path(row), owner(row), state(row), pin(row) ?? "", task(row), row[CGROUP], row[MEMCG]].join(" ").toLowerCase());
    }
    shown = [];
    rows.forEach((_, at) => {
      if (words.every((word) => texts[at].includes(word))) shown.push(at);
    });
    order();
    scroll.scrollTop = 0;
    count();
    sight();
  }
  function choose(at) {
    chosen = at;
    const row = rows[at];
    // In the order of the labels.
    const facts = [
      path(row),
      data.owners[row[OWNER]].join(" "),
      state(row),
      duration(row[AGE], row[AT_LEAST]),
      time(row[REMOVED]) + " UTC",
      bytes(row[USAGE]),
      pin(row) ?? dash,
      bytes(row[HELD]),
      number(row[CACHES]),
      number(row[MEMCG]),
      number(row[CGROUP]),
      task(row) || dash,
    ];
    detail.textContent = facts.map((fact, at) => words.labels[at] + fact).join("\n");
    detail.hidden = false;
    sight();
  }

  document.querySelectorAll("#table th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const same = sorting !== null && sorting.column === column;
      // Numbers begin with the largest, names with the first.
      const down = same ? !sorting.down : ["n", "t"].includes(columns[column].class);
      sorting = { column, down };
      document.querySelectorAll("#table th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      order();
      sight();
    });
  });
  let waiting = null;
  document.getElementById("search").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => search(event.target.value), 120);
  });
  let frame = null;
  scroll.addEventListener("scroll", () => {
    if (frame === null) frame = requestAnimationFrame(() => { frame = null; sight(); });
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (row) choose(Number(row.dataset.row));
  });
  addEventListener("resize", sight);
  addEventListener("beforeprint", () => {
    printing = true;
    draw(0, PRINTED);
    const rest = body.querySelector("tr.pad");
    if (rest) rest.remove();
    if (shown.length > PRINTED) found.textContent = fill(words.printed, PRINTED, shown.length.toLocaleString("en"));
  });
  addEventListener("afterprint", () => {
    printing = false;
    count();
    sight();
  });
  table.setAttribute("aria-rowcount", rows.length);
  count();
  sight();
})();
