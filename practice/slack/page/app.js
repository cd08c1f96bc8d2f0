// The practice page: what one person sees, and their message box, buttons and forms.
"use strict";

const $ = (id) => document.getElementById(id);
const narrow = window.matchMedia("(max-width: 720px)");
const state = { me: "", channel: "", thread: "", panel: "", screen: null, people: [], apps: [], drafts: {}, at: "" };
let source = null;

// --- talking to the workspace -----------------------------------------------------------------------------------

async function ask(path, body) {
  try {
    const answer = await fetch(path, {
      method: body ? "POST" : "GET",
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
    const data = await answer.json();
    if (data.ok === false) toast(data.error);
    return data;
  } catch {
    toast("The practice workspace does not answer. Is it still running?");
    return { ok: false };
  }
}

const act = (what, body) => ask(`/person/${state.me}/${what}`, body);

function listen() {
  if (source) source.close();
  const person = state.me;
  source = new EventSource(`/person/${person}/stream`);
  source.onmessage = (event) => {
    if (person !== state.me) return;
    state.screen = JSON.parse(event.data);
    draw();
  };
  source.onerror = () => {
    $("linked").textContent = "page offline";
    $("linked").className = "linked off";
  };
}

function toast(text) {
  const box = $("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => (box.hidden = true), 5000);
}

// --- where we are -----------------------------------------------------------------------------------------------

function remember() {
  const address = new URL(location.href);
  address.pathname = "/";
  address.search = new URLSearchParams({ as: state.me, channel: state.channel }).toString();
  history.replaceState(null, "", address);
}

function be(person) {
  if (person === state.me) return;
  keepDraft();
  state.me = person;
  state.thread = "";
  state.screen = null;
  if (state.panel === "thread" || narrow.matches) showPanel("");
  closeMenu();
  $("messages").replaceChildren();
  $("composer-place").replaceChildren();
  listen();
  remember();
}

function goTo(channel, ts) {
  keepDraft();
  state.channel = channel;
  state.thread = "";
  state.at = ts || "";
  if (state.panel === "thread") showPanel("");
  drawer(false);
  $("messages").replaceChildren();
  $("composer-place").replaceChildren();
  remember();
  draw();
  act("open", { channel });
}

function here() {
  const rooms = state.screen ? state.screen.channels : [];
  return rooms.find((room) => room.id === state.channel) || rooms.find((room) => room.member) || rooms[0];
}

// --- drawing ----------------------------------------------------------------------------------------------------

function draw() {
  const screen = state.screen;
  if (!screen) return;
  const room = here();
  if (room && room.id !== state.channel) {
    state.channel = room.id;
    remember();
  }
  drawSidebar(screen);
  $("outage").hidden = !screen.slack_down;
  if (room) drawRoom(room);
  if (state.panel === "thread") drawThread(room);
  if (state.panel === "phone") drawPhone();
  drawModal(screen.modal);
  const unread = screen.channels.filter((one) => one.id !== state.channel).reduce((sum, one) => sum + one.unread, 0);
  $("drawer-dot").hidden = !unread;
  document.title = `${unread ? `(${unread}) ` : ""}${room ? room.name : "Practice"} · ${screen.person.real_name}`;
  const newest = screen.notifications.length ? screen.notifications[screen.notifications.length - 1].id : 0;
  if (state.panel === "phone") state.phoneSeen = newest;
  $("phone-dot").hidden = !(newest > (state.phoneSeen || 0));
}

function drawSidebar(screen) {
  $("workspace").textContent = screen.workspace;
  $("linked").textContent = screen.app_connected ? "app connected" : "app not connected";
  $("linked").className = `linked ${screen.app_connected ? "on" : "off"}`;
  const groups = [
    ["Channels", screen.channels.filter((room) => room.kind !== "dm" && room.member)],
    ["Direct messages", screen.channels.filter((room) => room.kind === "dm")],
    ["Can be joined", screen.channels.filter((room) => room.kind !== "dm" && !room.member)],
  ];
  const bots = state.apps.filter((app) => !groups[1][1].some((room) => room.with === app.user));
  const places = groups.map(([title, rooms]) => {
    const items = rooms.map(drawPlace);
    if (title === "Direct messages") {
      for (const app of bots) {
        items.push(h("li", {}, h("button", { type: "button", class: "place quiet", onclick: () => openApp(app.user) },
          avatar(app.user, app.name, true, "tiny"), h("span", { class: "place-name" }, app.name))));
      }
    }
    if (!items.length) return null;
    return h("section", {}, h("h2", {}, title), h("ul", {}, items));
  });
  swap($("places"), places.filter(Boolean));
  const me = screen.person;
  const who = [avatar(me.id, me.real_name, false), h("span", { class: "me-text" }, h("span", {}, "Acting as"), h("strong", {}, me.real_name)),
    icon('<path d="M6 12.500l4-4 4 4"/>')];
  swap($("me"), who);
  $("me").setAttribute("aria-label", `Acting as ${me.real_name}. Act as somebody else`);
  swap($("me-small"), [avatar(me.id, me.real_name, false)]);
  $("me-small").setAttribute("aria-label", `Acting as ${me.real_name}. Act as somebody else`);
}

async function openApp(bot) {
  const done = await act("open", { channel: bot });
  if (done.ok) goTo(done.channel);
}

function mark(room) {
  if (room.kind === "private") return icon('<path d="M6.5 9V6.800a3.5 3.5 0 017 0V9M5 9h10v7.500H5z"/>', "sign");
  return h("span", { class: "sign", "aria-hidden": "true" }, "#");
}

function drawPlace(room) {
  const isBot = state.apps.some((app) => app.user === room.with);
  const current = room.id === state.channel;
  const label = room.unread && !current ? `${room.name}, ${room.unread} unread` : room.name;
  return h("li", {}, h("button", {
    type: "button",
    class: `place ${current ? "current" : ""} ${room.unread && !current ? "unread" : ""}`,
    "aria-current": current ? "page" : null,
    "aria-label": label,
    "data-key": room.id,
    onclick: () => goTo(room.id),
  },
  room.kind === "dm" ? avatar(room.with, room.name, isBot, "tiny") : mark(room),
  h("span", { class: "place-name" }, room.name),
  room.external ? h("span", { class: "tag" }, "shared") : null,
  room.unread && !current ? h("span", { class: room.mentions ? "badge" : "dot-inline" }, room.mentions ? String(room.mentions) : "") : null));
}

// Replace children, keep the keyboard focus on the element with the same key.
function swap(place, children) {
  const drawn = h("div", {}, children).innerHTML;
  if (place.dataset.drawn === drawn) return;
  place.dataset.drawn = drawn;
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  place.replaceChildren(...children);
  if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

function drawRoom(room) {
  swap($("title"), [room.kind === "dm" ? "" : mark(room), room.name]);
  const people = room.kind === "dm" ? "direct message" : `${room.members} members`;
  $("topic").textContent = [room.topic, people].filter(Boolean).join(" · ");
  const stream = $("stream");
  const atEnd = stream.scrollHeight - stream.scrollTop - stream.clientHeight < 80;
  const first = !$("messages").childElementCount;
  const before = $("messages").lastElementChild?.dataset.ts;
  drawMessages($("messages"), room.messages, room, false);
  if (!room.messages.length) {
    $("messages").replaceChildren(h("div", { class: "empty", "data-ts": "" },
      h("h2", {}, room.kind === "dm" ? room.name : `#${room.name}`),
      h("p", {}, room.kind === "dm" ? "Nothing has been written here yet." : `This is the very beginning of the channel. ${room.topic}`), hints(room)));
  }
  if (!$("composer-place").childElementCount) $("composer-place").append(composer(room, ""));
  const grew = before !== $("messages").lastElementChild?.dataset.ts;
  if (state.at && first) jump(state.at);
  else if (first || atEnd) stream.scrollTop = stream.scrollHeight;
  $("newer").hidden = !(grew && !atEnd && !first) && ($("newer").hidden || atEnd);
  if (room.unread && (first || atEnd) && document.visibilityState === "visible") act("open", { channel: room.id });
}

// In an empty channel: the app's first commands, to be put into the message box with one tap.
function hints(room) {
  const commands = state.apps.flatMap((app) => app.commands.map((one) => `${one.command} ${one.usage_hint.split("|")[0].trim()}`));
  if (room.silent || !room.member || !commands.length) return null;
  return h("span", { class: "hints" }, "Try ", commands.map((text) => h("button", { type: "button", class: "hint", onclick: () => {
    $("composer-text").value = text;
    $("composer-text").focus();
  } }, text)));
}

function jump(ts) {
  const found = document.querySelector(`.messages [data-ts="${ts}"]`);
  state.at = "";
  if (!found) return;
  found.scrollIntoView({ block: "center" });
  found.classList.add("found");
}

// One element per message, keyed by its ts: an edit replaces only that element, in its place.
function drawMessages(list, messages, room, inThread) {
  const old = new Map([...list.children].map((child) => [child.dataset.ts, child]));
  let after = null;
  let previous = null;
  for (const message of messages) {
    const near = previous && message.pieces.length < 2 && previous.user.id === message.user.id && !message.ephemeral && !previous.ephemeral
      && Number(message.ts) - Number(previous.ts) < 300 && !message.in_thread && !previous.thread.length;
    const trouble = state.screen.troubles.filter((one) => one.ts === message.ts).pop();
    const signature = JSON.stringify([message, near, trouble || null]);
    let element = old.get(message.ts);
    old.delete(message.ts);
    if (!element || element.signature !== signature) {
      const drawn = drawMessage(message, room, { near, inThread, trouble });
      drawn.signature = signature;
      if (element) {
        const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
        element.replaceWith(drawn);
        if (key) drawn.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
      }
      element = drawn;
    }
    const place = after ? after.nextSibling : list.firstChild;
    if (place !== element) list.insertBefore(element, place);
    after = element;
    previous = message;
  }
  for (const gone of old.values()) gone.remove();
}

function drawMessage(message, room, { near, inThread, trouble }) {
  const context = { me: state.me, press: (button, element) => press(message, room, button, element) };
  const body = h("div", { class: "body" });
  if (message.ephemeral) body.append(h("p", { class: "only-you" }, icon('<path d="M2.5 10S5 5 10 5s7.5 5 7.5 5-2.5 5-7.5 5-7.5-5-7.5-5zM10 8a2 2 0 110 4 2 2 0 010-4z"/>'), "Only visible to you"));
  if (message.in_thread && !inThread) body.append(h("p", { class: "only-you" }, "replied to a thread and sent it here"));
  if (!near) {
    body.append(h("p", { class: "byline" }, h("strong", {}, message.user.name), message.bot ? h("span", { class: "tag app" }, "APP") : null,
      h("time", { title: `${message.at} UTC` }, message.at.slice(0, 5))));
  }
  const pieces = message.pieces.map((piece) => drawPiece(piece, context));
  body.append(...pieces);
  if (message.edited) body.append(h("span", { class: "edited" }, "(edited)"));
  body.append(...message.files.map(drawFile));
  if (trouble) body.append(h("p", { class: "trouble", role: "alert" }, "⚠ ", `The app did not answer “${trouble.label || ""}” (${trouble.text}). Try again.`));
  if (message.thread.length && !inThread) {
    const last = message.thread[message.thread.length - 1];
    const count = message.thread.length === 1 ? "1 reply" : `${message.thread.length} replies`;
    body.append(h("button", { type: "button", class: "replies", "data-key": `thread-${message.ts}`, onclick: () => openThread(message.ts) },
      avatar(last.user.id, last.user.name, last.bot, "tiny"), h("strong", {}, count), h("span", {}, `last at ${last.at.slice(0, 5)}`)));
  }
  const side = near ? h("time", { class: "side-time" }, message.at.slice(0, 5)) : avatar(message.user.id, message.user.name, message.bot);
  const tools = message.ephemeral || inThread || room.kind === "dm" ? null : h("div", { class: "tools" },
    h("button", { type: "button", class: "icon", "aria-label": "Reply in thread", title: "Reply in thread", onclick: () => openThread(message.ts) },
      icon('<path d="M3.5 4.500h13v8h-8l-3.5 3v-3h-1.500z"/>')));
  return h("article", {
    class: `message ${near ? "near" : ""} ${message.ephemeral ? "ephemeral" : ""} ${message.mentions_me && room.kind !== "dm" ? "for-me" : ""}`,
    "data-ts": message.ts,
    "aria-label": `${message.user.name} at ${message.at} UTC${message.ephemeral ? ", only visible to you" : ""}`,
  }, h("div", { class: "gutter" }, side), body, tools);
}

// --- acting -----------------------------------------------------------------------------------------------------

async function press(message, room, button, element) {
  if (button.confirm && !(await confirmed(button.confirm, element))) return;
  await send({ channel: room.id, ts: message.ts, action: button.action_id, block_id: button.block_id, confirm: "yes" }, element);
}

async function send(body, element) {
  element.classList.add("waiting");
  element.setAttribute("aria-busy", "true");
  const done = await act("press", body);
  element.classList.remove("waiting");
  element.removeAttribute("aria-busy");
  if (done.url) follow(done.url);
}

function follow(url) {
  const target = new URL(url, location.href);
  const inside = /^\/archives\/(\w+)\/p(\d+)(\d{6})$/.exec(target.pathname);
  if (target.origin === location.origin && inside) goTo(inside[1], `${inside[2]}.${inside[3]}`);
  else window.open(url, "_blank", "noopener");
}

function confirmed(asked, opener) {
  const box = $("confirm");
  return new Promise((settle) => {
    const end = (answer) => {
      box.close();
      opener?.focus();
      settle(answer);
    };
    box.replaceChildren(
      h("header", {}, h("h2", { id: "confirm-title" }, withEmoji(asked.title))),
      h("div", { class: "dialog-body" }, h("p", { class: "block-text" }, withEmoji(asked.text))),
      h("footer", {},
        h("button", { type: "button", class: "block-button", onclick: () => end(false) }, withEmoji(asked.no)),
        h("button", { type: "button", class: `block-button filled ${asked.style}`, onclick: () => end(true) }, withEmoji(asked.yes))),
    );
    box.oncancel = (event) => {
      event.preventDefault();
      end(false);
    };
    box.showModal();
    box.querySelector("button").focus();
  });
}

function drawModal(modal) {
  const box = $("modal");
  if (!modal) {
    if (box.open) box.close();
    box.signature = "";
    return;
  }
  const signature = JSON.stringify([modal.view, modal.hash, modal.trouble, modal.fields.map((f) => f.error), modal.pieces]);
  if (box.signature === signature) return;
  const typed = new Map([...box.querySelectorAll("[data-block]")].map((one) => [one.id, one.value]));
  const sameView = box.view === modal.view;
  box.signature = signature;
  box.view = modal.view;
  const context = { me: state.me, press: (button, element) => pressInModal(modal, button, element) };
  const form = h("form", { novalidate: true, onsubmit: (event) => submit(event, modal) },
    h("header", {}, h("h2", { id: "modal-title" }, withEmoji(modal.title)),
      h("button", { type: "button", class: "icon", "aria-label": "Close dialog", onclick: () => act("close", { view: modal.view }) }, icon('<path d="M5 5l10 10M15 5L5 15"/>'))),
    h("div", { class: "dialog-body" }, modal.trouble ? h("p", { class: "trouble", role: "alert" }, modal.trouble) : null,
      modal.pieces.map((piece) => drawPiece(piece, context))),
    h("footer", {}, h("span", { class: "dialog-app" }, modal.app),
      h("button", { type: "button", class: "block-button", onclick: () => act("close", { view: modal.view }) }, modal.close),
      modal.submit ? h("button", { type: "submit", class: "block-button filled primary" }, modal.submit) : null));
  box.replaceChildren(form);
  if (sameView) for (const one of box.querySelectorAll("[data-block]")) if (typed.has(one.id)) one.value = typed.get(one.id);
  box.oncancel = (event) => {
    event.preventDefault();
    act("close", { view: modal.view });
  };
  if (!box.open) box.showModal();
  (box.querySelector("[aria-invalid]") || box.querySelector("[data-block]") || box.querySelector("button[type=submit], footer button"))?.focus();
}

async function pressInModal(modal, button, element) {
  if (button.confirm && !(await confirmed(button.confirm, element))) return;
  await send({ view: modal.view, action: button.action_id, block_id: button.block_id, confirm: "yes", values: typedValues() }, element);
}

function typedValues() {
  return Object.fromEntries([...$("modal").querySelectorAll("[data-block]")].map((one) => [one.dataset.block, one.value]));
}

async function submit(event, modal) {
  event.preventDefault();
  const values = typedValues();
  const button = $("modal").querySelector("button[type=submit]");
  button.classList.add("waiting");
  await act("submit", { view: modal.view, values });
  button.classList.remove("waiting");
}

// --- the message box --------------------------------------------------------------------------------------------

const draftKey = () => `${state.me}/${state.channel}`;

function keepDraft() {
  const box = $("composer-text");
  if (box && state.me) state.drafts[draftKey()] = box.value;
}

function composer(room, thread) {
  const id = thread ? "thread-text" : "composer-text";
  const where = thread ? "Reply…" : `Message ${room.kind === "dm" ? room.name : `#${room.name}`}`;
  if (room.silent || room.archived) {
    const why = room.archived ? "This channel is archived." : "Sending messages to this app has been turned off. Its commands work in any channel.";
    return h("p", { class: "composer off" }, why);
  }
  if (!room.member) {
    return h("div", { class: "composer join" }, h("p", {}, `You are looking at #${room.name}.`),
      h("button", { type: "button", class: "block-button filled primary", onclick: () => act("join", { channel: room.id }).then(() => $("composer-place").replaceChildren()) }, "Join channel"));
  }
  const box = h("textarea", { id, rows: "1", placeholder: where, "aria-label": where, autocomplete: "off", spellcheck: "false" });
  const help = h("div", { class: "suggest", hidden: true, role: "listbox", "aria-label": "Commands" });
  const post = async () => {
    const text = box.value.trim();
    if (!text) return;
    box.value = "";
    fit();
    const done = await act("type", { channel: room.id, text, thread_ts: thread });
    if (!done.ok) box.value = text;
    $("stream").scrollTop = $("stream").scrollHeight;
  };
  const fit = () => {
    box.style.height = "auto";
    box.style.height = `${Math.min(box.scrollHeight, 160)}px`;
    suggest(box, help, fit);
  };
  box.addEventListener("input", fit);
  box.addEventListener("keydown", (event) => {
    const chosen = help.hidden ? null : help.querySelector("button");
    if (event.key === "Tab" && chosen && !event.shiftKey) {
      event.preventDefault();
      chosen.click();
    } else if (event.key === "Escape") {
      help.hidden = true;
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      post();
    }
  });
  if (!thread) box.value = state.drafts[draftKey()] || "";
  const button = h("button", { type: "button", class: "send", "aria-label": thread ? "Send reply" : "Send", onclick: post },
    icon('<path d="M3 4.200L17 10 3 15.800l1.6-5.800z" fill="currentColor"/>'));
  return h("div", { class: "composer" }, help, box, button);
}

function suggest(box, help, fit) {
  const typed = box.value;
  const commands = state.apps.flatMap((app) => app.commands.map((one) => ({ ...one, app: app.name })));
  const found = /^\/\S*$/.test(typed) ? commands.filter((one) => one.command.startsWith(typed.toLowerCase()) && one.command !== typed) : [];
  help.hidden = !found.length;
  help.replaceChildren(...found.map((one) => h("button", { type: "button", role: "option", onclick: () => {
    box.value = `${one.command} `;
    fit();
    box.focus();
  } }, h("strong", {}, one.command), " ", h("span", {}, one.usage_hint), h("small", {}, `${one.app} · ${one.description}`))));
}

// --- side panels ------------------------------------------------------------------------------------------------

function showPanel(kind, title) {
  state.panel = kind;
  $("panel").hidden = !kind;
  $("panel-title").textContent = title || "";
  $("panel-body").replaceChildren();
  delete $("panel-body").dataset.drawn;
  $("phone-button").setAttribute("aria-expanded", String(kind === "phone"));
  $("practice-button").setAttribute("aria-expanded", String(kind === "practice"));
  if (kind && narrow.matches) drawer(false);
}

function openThread(ts) {
  state.thread = ts;
  showPanel("thread", "Thread");
  drawThread(here());
  if (!narrow.matches) $("thread-text")?.focus();
}

function drawThread(room) {
  const parent = room?.messages.find((message) => message.ts === state.thread);
  if (!parent) return;
  const body = $("panel-body");
  if (!body.childElementCount) body.append(h("div", { class: "messages thread", role: "log" }), composer(room, parent.ts));
  const list = body.firstElementChild;
  const atEnd = body.scrollHeight - body.scrollTop - body.clientHeight < 80;
  drawMessages(list, [{ ...parent, thread: [] }, ...parent.thread], room, true);
  if (atEnd) body.scrollTop = body.scrollHeight;
}

function drawPhone() {
  const seen = [...state.screen.notifications].reverse();
  const cards = seen.map((one) => {
    const room = state.screen.channels.find((place) => place.id === one.channel);
    const where = room ? (room.kind === "dm" ? "" : `#${room.name}`) : "";
    return h("li", {}, h("button", { type: "button", class: "push", "data-key": `push-${one.id}-${one.ts}`, onclick: () => goTo(one.channel, one.ts) },
      h("span", { class: "push-head" }, h("strong", {}, [one.from, where].filter(Boolean).join(" · ")), h("time", {}, one.at.slice(0, 5))),
      h("span", { class: "push-text" }, withEmoji(one.text))));
  });
  const empty = h("p", { class: "phone-empty" }, "No notifications yet.");
  const now = new Date().toISOString().slice(11, 16);
  swap($("panel-body"), [h("div", { class: "phone" }, h("p", { class: "phone-clock" }, now), h("p", { class: "phone-zone" }, "UTC · locked"),
    cards.length ? h("ul", {}, cards) : empty), h("p", { class: "panel-note" }, "A locked phone shows only the text of a message, never its blocks; edits make no sound.")]);
}

async function openPractice() {
  if (state.panel === "practice") return showPanel("");
  showPanel("practice", "Practice controls");
  const [known, faults] = await Promise.all([ask("/controls"), ask("/admin/fault")]);
  if (state.panel !== "practice") return;
  const controls = (known.controls || []).map((one) => h("div", { class: "control" },
    h("div", {}, h("strong", {}, one.label), one.hint ? h("p", {}, one.hint) : null),
    h("button", { type: "button", class: `block-button ${one.danger ? "danger" : ""}`, "aria-label": one.label, onclick: (event) => pull(one, event.currentTarget) }, "Do it")));
  const tries = state.people.filter((one) => one.hint && !one.deleted).map((one) => h("div", { class: "control" },
    h("div", { class: "control-who" }, avatar(one.id, one.real_name, false, "small"), h("div", {}, h("strong", {}, `Try as ${one.real_name}`), h("p", {}, one.hint))),
    h("button", { type: "button", class: "block-button", "aria-label": `Be ${one.real_name}`, onclick: () => be(one.id) }, "Switch")));
  const down = Boolean(faults.down);
  const slack = h("div", { class: "control" }, h("div", {}, h("strong", {}, "Slack itself"), h("p", {}, down ? "Slack is down: the app cannot reach it." : "Slack is up.")),
    h("button", { type: "button", class: `block-button ${down ? "" : "danger"}`, onclick: async () => {
      await ask("/admin/fault", { down: down ? "" : "refuse" });
      showPanel("");
      openPractice();
    } }, down ? "Bring back" : "Take down"));
  $("panel-body").replaceChildren(
    controls.length ? h("section", {}, h("h3", {}, "The sites"), controls) : h("p", { class: "panel-note" }, "No practice sites are connected to this page."),
    h("section", {}, h("h3", {}, "Slack"), slack),
    h("section", {}, h("h3", {}, "Try it"), tries),
  );
}

async function pull(control, button) {
  button.classList.add("waiting");
  const done = await ask(`/controls/${encodeURIComponent(control.name)}`, {});
  button.classList.remove("waiting");
  if (done.ok) toast(`${control.label}: done.`);
}

// --- act-as menu, drawer ----------------------------------------------------------------------------------------

function openMenu(opener) {
  const menu = $("menu");
  if (!menu.hidden) return closeMenu();
  menu.replaceChildren(h("p", { class: "menu-title" }, "Act as"), ...state.people.map((one) => h("button", {
    type: "button", role: "menuitemradio", "aria-checked": String(one.id === state.me), disabled: one.deleted,
    "aria-label": `Act as ${one.real_name}`, onclick: () => be(one.id),
  }, avatar(one.id, one.real_name, false, "small"), h("span", { class: "menu-text" }, h("strong", {}, one.real_name),
    one.deleted ? h("span", {}, "deactivated, cannot sign in") : one.hint ? h("span", {}, `try: ${one.hint}`) : null),
  one.id === state.me ? icon('<path d="M4.5 10.500l3.5 3.5 7.5-8"/>', "tick") : null)));
  menu.hidden = false;
  const at = opener.getBoundingClientRect();
  menu.style.top = at.top > window.innerHeight / 2 ? "auto" : `${at.bottom + 6}px`;
  menu.style.bottom = at.top > window.innerHeight / 2 ? `${window.innerHeight - at.top + 6}px` : "auto";
  menu.style.left = narrow.matches ? "auto" : `${at.left}px`;
  menu.style.right = narrow.matches ? "12px" : "auto";
  opener.setAttribute("aria-expanded", "true");
  menu.opener = opener;
  (menu.querySelector('[aria-checked="true"]') || menu.querySelector("button"))?.focus();
}

function closeMenu() {
  const menu = $("menu");
  if (menu.hidden) return;
  menu.hidden = true;
  menu.opener?.setAttribute("aria-expanded", "false");
  menu.opener?.focus();
}

function drawer(open) {
  document.body.classList.toggle("drawer-open", open);
  $("drawer-button").setAttribute("aria-expanded", String(open));
  $("shade").hidden = !open;
}

function wire() {
  $("me").onclick = () => openMenu($("me"));
  $("me-small").onclick = () => openMenu($("me-small"));
  $("menu").onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") closeMenu();
    if (!step) return;
    event.preventDefault();
    const all = [...$("menu").querySelectorAll("button:not(:disabled)")];
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#menu, #me, #me-small")) closeMenu();
    const link = event.target.closest("a[data-channel]");
    if (link) {
      event.preventDefault();
      goTo(link.dataset.channel);
    }
    const inside = event.target.closest('a[href*="/archives/"]');
    if (inside && new URL(inside.href).origin === location.origin) {
      event.preventDefault();
      follow(inside.href);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    if (document.body.classList.contains("drawer-open")) drawer(false);
    else if (state.panel && !event.target.closest(".composer")) showPanel("");
  });
  $("drawer-button").onclick = () => {
    drawer(!document.body.classList.contains("drawer-open"));
    $("places").querySelector("button")?.focus();
  };
  $("shade").onclick = () => drawer(false);
  $("panel-close").onclick = () => showPanel("");
  $("phone-button").onclick = () => {
    if (state.panel === "phone") return showPanel("");
    showPanel("phone", `${state.screen.person.real_name.split(" ")[0]}’s phone`);
    draw();
  };
  $("practice-button").onclick = openPractice;
  $("newer").onclick = () => {
    $("stream").scrollTop = $("stream").scrollHeight;
    $("newer").hidden = true;
    act("open", { channel: state.channel });
  };
}

async function start() {
  wire();
  const known = await ask("/people");
  state.people = known.people || [];
  state.apps = known.apps || [];
  for (const one of state.people) avatar(one.id, one.real_name);
  const asked = new URLSearchParams(location.search);
  const inside = /^\/archives\/(\w+)\/p(\d+)(\d{6})$/.exec(location.pathname);
  state.channel = inside ? inside[1] : asked.get("channel") || "";
  state.at = inside ? `${inside[2]}.${inside[3]}` : "";
  const able = state.people.filter((one) => !one.deleted);
  state.me = (able.find((one) => one.id === asked.get("as")) || able[0] || { id: "" }).id;
  listen();
  remember();
}

start();
