// Fills the page from status.json, errors.json and events. What comes from sites is only ever
// set as text.
const every = 2000; // ms between two looks
const few = 12; // more receivers than this are tiles
const kept = 12; // lines of what lands

const $ = (id) => document.getElementById(id);
const icons = { running: "✓", starting: "…", standby: "…", paused: "‖", guarded: "!", stopped: "✗" };

function make(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children.filter((c) => c !== undefined && c !== ""));
  return e;
}

const count = (n, one, many) => `${n.toLocaleString()} ${n === 1 ? one : many}`;

function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// gravity is how much a site or channel needs somebody.
function gravity(x) {
  if (x.state === "stopped") return "bad";
  if (x.errors > 0 || ["paused", "guarded"].includes(x.state) || x.mirror) return "warn";
  return x.drift > 0 ? "warn" : "good";
}

function card(x, lines) {
  const c = make("div", `card ${gravity(x)}`, make("span", "state", `${icons[x.state] ?? ""} ${x.state}`), make("b", "", x.name));
  for (const line of lines.filter(Boolean)) c.append(make("small", "", line));
  c.dataset.name = x.name;
  return c;
}

const siteCard = (s) => card(s, [
  s.pending > 0 ? `${count(s.pending, "change", "changes")} on the way, the oldest for ${span(s.lag_seconds)}` : "",
  s.errors > 0 ? `${count(s.errors, "object", "objects")} failed` : "",
  s.drift > 0 ? `${count(s.drift, "object", "objects")} changed there by somebody else` : "",
  s.reason, s.mirror ? `mirror: ${s.mirror}` : "",
]);

const channelCard = (c) => card(c, [
  `to ${count(c.to.length, "site", "sites")}`,
  c.pending > 0 ? `${count(c.pending, "change", "changes")} not passed on` : "",
  c.reason,
]);

const order = { bad: 0, warn: 1, good: 2 };

function showFlow(o) {
  const sources = new Set(o.channels.map((c) => c.from));
  const wanted = $("filter").value.toLowerCase();
  const receivers = o.sites
    .filter((s) => o.channels.some((c) => c.to.includes(s.name)) && s.name.includes(wanted))
    .sort((a, b) => order[gravity(a)] - order[gravity(b)] || a.name.localeCompare(b.name));
  $("filter").hidden = o.sites.length <= few;
  $("sources").replaceChildren(...o.sites.filter((s) => sources.has(s.name)).map(siteCard));
  $("channels").replaceChildren(...o.channels.map(channelCard));
  $("receivers").classList.toggle("many", receivers.length > few);
  $("receivers").replaceChildren(...receivers.map(siteCard));
  drawLines(o, receivers.length <= few);
}

// drawLines joins the cards. Many receivers are joined as one block.
function drawLines(o, each) {
  const box = $("flow").getBoundingClientRect();
  const find = (column, name) => [...$(column).children].find((c) => c.dataset.name === name);
  const lines = [];
  const join = (a, b, className) => {
    if (!a || !b) return;
    const [p, q] = [a.getBoundingClientRect(), b.getBoundingClientRect()];
    const [x1, y1, x2, y2] = [p.right - box.left, p.top + p.height / 2 - box.top, q.left - box.left, q.top + q.height / 2 - box.top];
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`);
    line.setAttribute("class", className);
    lines.push(line);
  };
  const kind = (x) => (x.state === "stopped" ? "stopped" : x.pending > 0 || landing.has(x.name) ? "busy" : "");
  for (const c of o.channels) {
    const channel = find("channels", c.name);
    join(find("sources", c.from), channel, kind(c));
    if (!each) join(channel, $("receivers"), c.to.some((n) => landing.has(n)) ? "busy" : "");
    else for (const s of o.sites) if (c.to.includes(s.name)) join(channel, find("receivers", s.name), kind(s));
  }
  $("lines").replaceChildren(...lines);
}

function showTodo(o) {
  const notes = [];
  for (const g of o.guards.filter((g) => !g.released && !g.over)) {
    const on = g.channel ? `--channel ${g.channel}` : `--site ${g.site}`;
    notes.push(make("div", "", make("b", "", g.channel || g.site),
      `: ${count(g.removals, "object", "objects")} of ${g.objects.toLocaleString()} would be removed, such as ${g.sample.slice(0, 3).join(", ")}. Nothing goes on until somebody has looked: `,
      make("code", "", `synchro resume ${on}`)));
  }
  for (const p of o.pauses.filter((p) => !p.ended)) {
    const on = p.site ? `--site ${p.site}` : `--channel ${p.channel}`;
    notes.push(make("div", "", make("b", "", [p.site || p.channel, p.path].filter(Boolean).join(" ")),
      ` is paused by ${p.by}: ${p.reason} `, make("code", "", `synchro resume ${on}${p.path ? ` --path "${p.path}"` : ""}`)));
  }
  $("todo").hidden = notes.length === 0;
  $("todo").replaceChildren(...notes);
}

function showSummary(o) {
  const sites = o.sites.filter((s) => s.role !== "none");
  const stopped = [...sites, ...o.channels].filter((s) => s.state === "stopped");
  const failed = sites.reduce((n, s) => n + s.errors, 0);
  const pending = sites.filter((s) => s.role !== "source").reduce((n, s) => n + s.pending, 0);
  const held = sites.filter((s) => ["paused", "guarded"].includes(s.state));
  const words = [];
  if (stopped.length) words.push(`Nobody answers for ${names(stopped)}.`);
  if (failed) words.push(`${count(failed, "object", "objects")} failed.`);
  if (held.length) words.push(`Work is held at ${names(held)}.`);
  if (pending) words.push(`${count(pending, "change is", "changes are")} on the way.`);
  const level = stopped.length ? "bad" : failed || held.length ? "warn" : "good";
  summary(words.join(" ") || `All ${sites.length} sites have everything.`, level);
}

const names = (list) => list.slice(0, 3).map((s) => s.name).join(", ") + (list.length > 3 ? ` and ${list.length - 3} more` : "");

function summary(text, level) {
  if ($("summary").textContent !== text) $("summary").textContent = text;
  $("summary").className = level;
}

function showFailures(f) {
  $("failed").hidden = f.total === 0;
  $("causes").replaceChildren(...f.codes.map((c) => make("p", "", make("b", "", `${c.count.toLocaleString()} × ${c.code}`), `: ${c.advice} `, make("code", "", `synchro replay --code ${c.code}`))));
  $("failed").querySelector("tbody").replaceChildren(...f.entries.map((e) => {
    const row = make("tr", "", make("td", "", e.site), make("td", "", e.path || e.uid), make("td", "", e.reason),
      make("td", "", span((Date.now() - Date.parse(e.first)) / 1000)), make("td", "number", String(e.attempts)));
    row.children[1].title = e.path;
    return row;
  }));
  $("more").hidden = f.total <= f.entries.length;
  $("more").textContent = `These are the latest ${f.entries.length} of ${f.total.toLocaleString()}; synchro errors lists all.`;
}

let last; // overview
const landing = new Map(); // site to when something landed there

async function look() {
  try {
    const [o, f] = await Promise.all(["status.json", "errors.json"].map(load));
    last = o;
    showSummary(o);
    showTodo(o);
    showFlow(o);
    showFailures(f);
  } catch (e) {
    summary(`This page is not up to date: ${e.message}`, "bad");
  }
  setTimeout(look, every);
}

async function load(name) {
  const r = await fetch(name);
  if (!r.ok) throw new Error(await r.text());
  return r.json();
}

const rates = Array(60).fill(0);

function watch() {
  const events = new EventSource("events");
  let counted = 0;
  events.onmessage = (m) => {
    const l = JSON.parse(m.data);
    for (const [site, n] of Object.entries(l.sites)) {
      counted += n;
      landing.set(site, Date.now());
    }
    $("live").tBodies[0].prepend(...l.latest.toReversed().map((c) => make("tr", "",
      make("td", "", new Date(c.at).toLocaleTimeString()), make("td", "", c.site), make("td", "", c.kind),
      make("td", "", c.name), make("td", "number", span(c.lag_ms / 1000)))));
    while ($("live").tBodies[0].rows.length > kept) $("live").tBodies[0].lastChild.remove();
  };
  setInterval(() => {
    rates.push(counted);
    rates.shift();
    counted = 0;
    for (const [site, at] of landing) if (Date.now() - at > every) landing.delete(site);
    showRate();
  }, 1000);
}

function showRate() {
  const top = Math.max(...rates, 1);
  $("rate").textContent = rates.at(-1).toLocaleString();
  $("spark").firstElementChild.setAttribute("d", rates.map((r, i) => `${i ? "L" : "M"}${i * 2} ${23 - (22 * r) / top}`).join(""));
}

$("filter").addEventListener("input", () => last && showFlow(last));
addEventListener("resize", () => last && showFlow(last));
look();
watch();
