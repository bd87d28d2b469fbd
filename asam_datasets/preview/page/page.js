// The page: which image, which masks of it, which one is lit. Foreign text goes into `textContent` alone.

const at = (id) => document.getElementById(id);
const head = JSON.parse(document.querySelector("script.head").textContent);
const blocks = [...document.querySelectorAll("script.record")];
const drawing = new Drawing(at("picture"));
const whole = new Intl.NumberFormat("en"), STEPS = 100;
const plural = (count, noun) => `${whole.format(count)} ${noun}${count === 1 ? "" : "s"}`;

let current = -1;        // place of the image in `head.entries`
let record = null;       // what is shown of it
let visible = [];        // its masks that pass the filters, the largest first
let kept = null, hovered = null;
let boxes = null;        // null until somebody decides: few masks have boxes, many have none
let hits = head.entries.map((_, place) => place);

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function say(text) {
  at("live").textContent = text;
}

// ------------------------------------------------------------------------------------------------------------ images

function listEntries() {
  head.entries.forEach((entry, place) => {
    const button = make("button");
    button.type = "button";
    const pane = make("span", undefined, "pane");
    if (entry.thumbnail) pane.append(Object.assign(new Image(), { loading: "lazy", alt: "", src: entry.thumbnail }));
    const words = make("span", undefined, "words");
    words.append(make("span", entry.file_name.split("/").pop(), "title foreign"));
    words.append(make("span", (entry.text ?? "no caption").slice(0, 300), "text-of foreign"));
    button.append(pane, words);
    button.addEventListener("click", () => openImage(place));
    const item = make("li");
    item.append(button);
    at("entries").append(item);
  });
}

function search() {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  hits = [];
  head.entries.forEach((entry, place) => {
    entry.searched ??= [entry.image_id, entry.file_name, entry.set, entry.text ?? ""].join("\n").toLowerCase();
    const found = words.every((word) => entry.searched.includes(word));
    at("entries").children[place].hidden = !found;
    if (found) hits.push(place);
  });
  const count = plural(head.entries.length, "image");
  at("found").textContent = words.length ? `${whole.format(hits.length)} of ${count}` : count;
  showPlace();
  if (words.length && hits.length && !hits.includes(current)) openImage(hits[0], { quiet: true });
}

function showPlace() {
  const index = hits.indexOf(current);
  at("place").textContent = index < 0 ? `– / ${hits.length}` : `${index + 1} / ${hits.length}`;
  at("previous").disabled = neighbor(-1) === undefined;
  at("next").disabled = neighbor(1) === undefined;
}

/** The image before or after this one, among those that were found. */
function neighbor(step) {
  return step > 0 ? hits.find((place) => place > current) : hits.findLast((place) => place < current);
}

function go(step) {
  const place = neighbor(step);
  if (place !== undefined) openImage(place);
}

async function decoded(source) {
  if (!source) return null;
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

async function openImage(place, { quiet = false } = {}) {
  current = place;
  const entry = head.entries[place], found = JSON.parse(blocks[place].textContent);
  markEntry(place);
  showPlace();
  const base = { image: null, map: null };
  let problem = "";
  try {
    [base.image, base.map] = await Promise.all([decoded(found.image), decoded(found.map)]);
  } catch {
    problem = "This browser cannot decode the image.";
  }
  if (current !== place) return;  // somebody went on meanwhile
  record = found;
  kept = hovered = null;
  at("broken").textContent = problem;
  at("broken").hidden = !problem;
  prepareMasks();
  describe(entry);
  drawing.setRecord(record, base);
  showSwitches(base);
  filter();
  document.body.dataset.ready = String(place);
  const told = `Image ${place + 1} of ${head.entries.length}: ${entry.file_name}, ${at("facts").textContent}.`;
  if (!quiet) say(`${told} ${entry.text ?? ""}`.slice(0, 600));
}

function markEntry(place) {
  for (const [other, item] of [...at("entries").children].entries()) {
    item.firstChild.toggleAttribute("aria-current", false);
    if (other !== place) continue;
    item.firstChild.setAttribute("aria-current", "true");
    const list = at("entries"), box = item.getBoundingClientRect(), room = list.getBoundingClientRect();
    list.scrollLeft += Math.min(0, box.left - room.left) + Math.max(0, box.right - room.right);
    list.scrollTop += Math.min(0, box.top - room.top) + Math.max(0, box.bottom - room.bottom);
  }
}

function describe(entry) {
  const facts = [entry.set];
  if (record.masks) {
    const few = record.masks.length < record.most;
    facts.push(few ? `${record.masks.length} of ${plural(record.most, "mask")}` : plural(record.most, "mask"));
  }
  facts.push(`${record.size[0]} × ${record.size[1]} (height × width)`);
  if (record.worst_iou !== null) facts.push(`worst IoU ${record.worst_iou.toPrecision(3)}`);
  if (!record.image) facts.push("published without its image");
  at("name").textContent = entry.file_name;
  at("facts").textContent = facts.join(" · ");
  at("text").textContent = entry.text ?? "no caption";
  at("text").classList.toggle("none", entry.text === null);
  at("picture").setAttribute("aria-label", `${entry.file_name}, ${facts.slice(1).join(", ")}`);
}

// ------------------------------------------------------------------------------------------------------------- masks

function prepareMasks() {
  const height = record.shown[0];
  record.masks?.sort((one, other) => other.area - one.area);
  for (const mask of record.masks ?? []) {
    mask.ends = runEnds(mask.runs);
    mask.bounds = bounds(mask.ends, height);
    mask.hue = head.colors[mask.color];
  }
  at("options").replaceChildren(...(record.masks ?? []).map(listMask));
}

function listMask(mask) {
  const item = make("li"), dot = make("span", undefined, "dot");
  dot.style.background = mask.hue;
  item.id = `mask-${mask.color}`;
  item.role = "option";
  item.ariaSelected = "false";
  item.append(dot, make("span", nameOf(mask), "label foreign"));
  item.append(make("span", `${whole.format(mask.area)} px`, "number"));
  item.append(make("span", mask.iou === undefined ? "" : mask.iou.toFixed(2), "number"));
  item.addEventListener("pointerenter", () => hover(mask));
  item.addEventListener("pointerleave", () => hover(null));
  item.addEventListener("click", () => keep(mask));
  mask.item = item;
  return item;
}

function nameOf(mask) {
  return mask.category ?? (mask.id === undefined ? `mask ${mask.color}` : mask.id);
}

function filter() {
  if (!record) return;
  const low = Number(at("iou").value), [least, most] = [areaOf("least"), areaOf("most")];
  const bounded = head.ious !== null && low > Number(at("iou").min);
  visible = (record.masks ?? []).filter((mask) =>
    (!bounded || (mask.iou ?? -1) >= low) && mask.area >= least && mask.area <= most);
  const seen = new Set(visible);
  for (const mask of record.masks ?? []) mask.item.hidden = !seen.has(mask);
  const count = record.masks?.length ?? 0, all = plural(count, "mask");
  at("shown").textContent = visible.length === count ? all : `${visible.length} of ${all}`;
  at("iou-value").textContent = low.toFixed(3).replace(/0$/, "");
  at("least-value").textContent = `${whole.format(Math.max(0, least))} px`;
  at("most-value").textContent = most === Infinity ? "any" : `${whole.format(most)} px`;
  for (const name of ["iou", "least", "most"]) at(name).setAttribute("aria-valuetext", at(`${name}-value`).textContent);
  at("reset").hidden = !bounded && least === -Infinity && most === Infinity;
  if (kept && !seen.has(kept)) kept = null;
  if (hovered && !seen.has(hovered)) hovered = null;
  redraw();
}

/** The area that a slider stands for: they are logarithmic, and at their ends there is no limit. */
function areaOf(name) {
  const value = Number(at(name).value);
  if (name === "least" && value === 0) return -Infinity;
  if (name === "most" && value === STEPS) return Infinity;
  const [smallest, largest] = head.areas.map((area) => Math.log(Math.max(1, area)));
  return Math.round(Math.exp(smallest + (largest - smallest) * value / STEPS));
}

function redraw() {
  const show = { masks: at("masks").checked, boxes: at("boxes").checked, points: at("points").checked };
  drawing.setMasks(visible, { ...show, map: at("map").checked && !at("map").disabled });
  light();
}

function light() {
  const lit = kept ?? hovered;
  for (const mask of record.masks ?? []) {
    mask.item.classList.toggle("lit", mask === lit);
    mask.item.ariaSelected = String(mask === kept);
  }
  if (kept) at("options").setAttribute("aria-activedescendant", kept.item.id);
  else at("options").removeAttribute("aria-activedescendant");
  drawing.light(lit);
  showNumbers(lit);
}

function hover(mask) {
  if (mask === hovered) return;
  hovered = mask;
  at("picture").classList.toggle("over", mask !== null);
  light();
}

function keep(mask) {
  kept = mask;
  light();
  if (!mask) return;
  const list = at("options"), box = mask.item.getBoundingClientRect(), room = list.getBoundingClientRect();
  list.scrollTop += Math.min(0, box.top - room.top) + Math.max(0, box.bottom - room.bottom);
  say(`${mask.category ?? "Mask"}: ${numbersOf(mask).map(([name, value]) => `${name} ${value}`).join(", ")}`);
}

function step(by) {
  if (!visible.length) return;
  const place = kept ? visible.indexOf(kept) : by > 0 ? -1 : visible.length;
  keep(visible[Math.min(visible.length - 1, Math.max(0, place + by))]);
}

/** Name and value of all that is known of a mask. */
function numbersOf(mask) {
  const share = 100 * mask.area / (record.size[0] * record.size[1]);
  const percent = share >= 10 ? Math.round(share) : share < 0.01 ? "< 0.01" : Number(share.toPrecision(2));
  const round = (value) => (Number.isFinite(value) ? String(Math.round(100 * value) / 100) : "–");
  const rows = [["id", mask.id], ["area", `${whole.format(mask.area)} px (${percent} %)`]];
  rows.push(["predicted IoU", mask.iou?.toFixed(3)], ["stability", mask.stability?.toFixed(3)]);
  rows.push(["box x, y, w, h", mask.box?.map(round).join(", ")]);
  rows.push(["point x, y", mask.points?.map((point) => point.map(round).join(", ")).join("; ")]);
  rows.push(["category", mask.category], ["category id", mask.category_id], ["crowd", mask.crowd ? "yes" : undefined]);
  return rows.filter(([, value]) => value !== undefined && value !== "");
}

function showNumbers(mask) {
  const title = at("numbers-title"), list = at("numbers");
  at("hint").hidden = mask !== null;
  list.hidden = mask === null;
  title.replaceChildren("Mask");
  if (!mask) return;
  const dot = make("span", undefined, "dot");
  dot.style.background = mask.hue;
  title.prepend(dot);
  if (mask === kept) title.append(make("span", "kept", "kept"));
  list.replaceChildren(...numbersOf(mask).flatMap(([name, value]) => [make("dt", name), make("dd", value, "foreign")]));
}

// ------------------------------------------------------------------------------------------------- switches and keys

function showSwitches(base) {
  const none = !record.masks?.length;
  at("boxes").checked = boxes ?? record.boxes;
  at("masks").disabled = at("boxes").disabled = none;
  at("points").disabled = none || !head.has_points;
  at("map").disabled = !base.map;
}

function press(name) {
  const box = at(name);
  if (box.disabled || !box.checkVisibility()) return;
  box.checked = !box.checked;
  box.dispatchEvent(new Event("change"));
}

function onKey(event) {
  const target = event.target, writes = target === at("search");
  if (event.ctrlKey || event.metaKey || event.altKey || at("keys").open) return;
  if (event.key === "Escape") {
    if (writes && at("search").value) return;  // the browser empties it
    if (writes) target.blur();
    keep(null);
    return;
  }
  if (writes) return;
  const inList = target === at("options"), slides = target.type === "range", letters = at("letters").checked;
  const moves = inList && { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
  const actions = {
    ...(slides ? {} : { ArrowRight: () => go(1), ArrowLeft: () => go(-1) }),
    ...(letters && {
      j: () => step(1), k: () => step(-1), m: () => press("masks"), b: () => press("boxes"), p: () => press("points"),
      c: () => press("map"), "/": () => at("search").focus(), "?": () => at("keys").showModal(),
    }),
  };
  const action = moves ? () => step(moves) : actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function listen() {
  const picture = at("picture");
  picture.addEventListener("pointermove", (event) => {
    if (record) hover(drawing.under(event.clientX, event.clientY)[0] ?? null);
  });
  picture.addEventListener("pointerleave", () => record && hover(null));
  picture.addEventListener("click", (event) => {
    if (!record) return;
    const found = drawing.under(event.clientX, event.clientY);
    keep(found[found.indexOf(kept) + 1] ?? null);  // of masks one over the other each click takes the next
  });
  at("search").addEventListener("input", search);
  at("previous").addEventListener("click", () => go(-1));
  at("next").addEventListener("click", () => go(1));
  for (const name of ["iou", "least", "most"]) at(name).addEventListener("input", filter);
  for (const name of ["masks", "points", "map"]) at(name).addEventListener("change", redraw);
  at("boxes").addEventListener("change", () => {
    boxes = at("boxes").checked;
    redraw();
  });
  at("reset").addEventListener("click", () => {
    for (const name of ["iou", "least", "most"]) at(name).value = name === "most" ? at(name).max : at(name).min;
    filter();
    at(head.ious ? "iou" : "least").focus();
  });
  at("show-keys").addEventListener("click", () => at("keys").showModal());
  at("close").addEventListener("click", () => at("keys").close());
  document.addEventListener("keydown", onKey);
}

function start() {
  document.title = `${head.title} – ${head.dataset}`;
  at("title").textContent = head.title;
  at("dataset").textContent = head.dataset;
  at("notices").replaceChildren(...head.notices.map((notice) => make("p", notice, "foreign")));
  at("by-iou").hidden = !head.ious;
  for (const part of document.querySelectorAll(".numbers, .filters, .all")) part.hidden = !head.areas;
  for (const name of ["masks", "boxes"]) at(name).parentElement.hidden = !head.areas;
  if (head.ious) {
    Object.assign(at("iou"), { min: Math.floor(head.ious[0] * 100) / 100, max: Math.ceil(head.ious[1] * 100) / 100 });
    at("iou").value = at("iou").min;
  }
  at("points").parentElement.hidden = !head.has_points;
  at("map").parentElement.hidden = !head.has_maps;
  listEntries();
  listen();
  search();
  openImage(0, { quiet: true });
}

start();
