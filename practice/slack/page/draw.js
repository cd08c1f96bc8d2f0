// Pieces (drawn on the server from the stored blocks) become elements. Every text goes in as text, never as HTML.
"use strict";

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "style") element.style.cssText = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function icon(path, name) {
  const holder = h("span", { class: `glyph ${name || ""}`, "aria-hidden": "true" });
  holder.innerHTML = `<svg viewBox="0 0 20 20">${path}</svg>`;
  return holder;
}

const TINTS = ["#8d5ea8", "#2f7d6d", "#b1622a", "#3a6ea5", "#a8475f", "#5a7a2e", "#6b5bb5", "#97702a"];

const order = new Map(); // people take colours in the order of the workspace's list

function avatar(id, name, isBot, size) {
  if (!order.has(id)) order.set(id, order.size);
  const initials = name.split(/\s+/).map((word) => word[0]).slice(0, 2).join("").toUpperCase();
  const shape = h("span", {
    class: `avatar ${isBot ? "bot" : ""} ${size || ""}`,
    style: isBot ? "" : `background:${TINTS[order.get(id) % TINTS.length]}`,
    "aria-hidden": "true",
  });
  if (isBot) shape.append(icon('<path d="M2.5 10.5h3.2l2-5.2 4 9.6 2.2-4.4h3.6"/>'));
  else shape.append(initials);
  return shape;
}

function drawSpans(spans, me) {
  return spans.map((span) => {
    let inner = withEmoji(span.text);
    if (span.mention) {
      const mine = span.mention === me || span.mention.startsWith("!");
      inner = [h("span", { class: `mention ${mine ? "mine" : ""}` }, inner)];
    } else if (span.channel) {
      inner = [h("a", { class: "mention", href: `?channel=${span.channel}`, "data-channel": span.channel }, inner)];
    } else if (span.link) {
      const safe = /^https?:\/\//.test(span.link);
      if (safe) inner = [h("a", { href: span.link, rel: "noopener noreferrer", target: "_blank" }, inner)];
      else inner = [h("span", { class: "dead-link" }, inner)];
    }
    if (span.code) inner = [h("code", {}, inner)];
    if (span.strike) inner = [h("s", {}, inner)];
    if (span.italic) inner = [h("em", {}, inner)];
    if (span.bold) inner = [h("strong", {}, inner)];
    return inner;
  });
}

function drawButton(button, press) {
  const element = h(
    "button",
    {
      type: "button",
      class: `block-button ${button.style}`,
      "aria-label": button.accessible || null,
      "data-key": `${button.block_id}/${button.action_id}`,
      onclick: () => press(button, element),
    },
    h("span", {}, withEmoji(button.label)),
  );
  return element;
}

function drawPiece(piece, context) {
  const { me, press } = context;
  switch (piece.kind) {
    case "header":
      return h("h3", { class: "block-header" }, drawSpans(piece.spans, me));
    case "text":
      return h("p", { class: "block-text" }, drawSpans(piece.spans, me));
    case "quote":
      return h("blockquote", { class: "block-quote" }, drawSpans(piece.spans, me));
    case "preformatted":
      return drawPreformatted(piece, me);
    case "list":
      return h(
        piece.ordered ? "ol" : "ul",
        { class: `block-list indent-${piece.indent}`, start: piece.ordered ? piece.start : null },
        piece.items.map((item) => h("li", {}, drawSpans(item, me))),
      );
    case "rich":
      return h("div", { class: "block-rich" }, piece.pieces.map((inner) => drawPiece(inner, context)));
    case "section":
      return h(
        "div",
        { class: "block-section" },
        h(
          "div",
          { class: "section-body" },
          piece.pieces.map((inner) => drawPiece(inner, context)),
          piece.fields.length
            ? h("div", { class: "fields" }, piece.fields.map((f) => h("div", {}, f.map((p) => drawPiece(p, context)))))
            : null,
        ),
        piece.button ? h("div", { class: "accessory" }, drawButton(piece.button, press)) : null,
      );
    case "context":
      return h(
        "div",
        { class: "block-context" },
        piece.items.map((item) => h("div", {}, item.map((inner) => drawPiece(inner, context)))),
      );
    case "divider":
      return h("hr", { class: "block-divider" });
    case "actions":
      return h("div", { class: "block-actions" }, piece.buttons.map((button) => drawButton(button, press)));
    case "bar":
      return h(
        "div",
        { class: "bar", "data-colour": piece.colour },
        h("span", { class: "bar-colour", style: `background:${piece.colour}` }),
        h("div", { class: "bar-body" }, piece.pieces.map((inner) => drawPiece(inner, context))),
      );
    case "field":
      return drawField(piece);
    default:
      return h("p", { class: "undrawn" }, `This page cannot draw ${piece.kind}.`);
  }
}

const FOLD_LINES = 14;
const unfolded = new Set();

function drawPreformatted(piece, me) {
  const text = piece.spans.map((span) => span.text).join("");
  const pre = h("pre", { class: "block-pre", tabindex: "0" }, drawSpans(piece.spans, me));
  if (text.split("\n").length <= FOLD_LINES || unfolded.has(text)) return pre;
  pre.classList.add("folded");
  const more = h("button", { type: "button", class: "see-more", onclick: () => {
    unfolded.add(text);
    pre.classList.remove("folded");
    more.remove();
  } }, "See more");
  return h("div", {}, pre, more);
}

function drawField(field) {
  const id = `field-${field.block_id}-${field.action_id}`;
  const about = [];
  if (field.hint) about.push(`${id}-hint`);
  if (field.error) about.push(`${id}-error`);
  const common = {
    id,
    name: field.block_id,
    "data-block": field.block_id,
    "aria-describedby": about.join(" ") || null,
    "aria-invalid": field.error ? "true" : null,
    "aria-required": field.optional ? null : "true",
  };
  let control;
  if (field.element === "static_select") {
    control = h(
      "select",
      common,
      h("option", { value: "" }, field.placeholder || "Choose an option"),
      field.options.map((o) => h("option", { value: o.value, selected: o.value === field.initial }, o.text)),
    );
  } else {
    const text = { ...common, placeholder: field.placeholder || null, maxlength: String(field.max_length), autocomplete: "off" };
    control = field.multiline ? h("textarea", { ...text, rows: "3" }) : h("input", { ...text, type: "text" });
    control.value = field.initial;
  }
  return h(
    "div",
    { class: `field ${field.error ? "wrong" : ""}` },
    h("label", { for: id }, withEmoji(field.label), field.optional ? h("span", { class: "optional" }, " (optional)") : null),
    control,
    field.error ? h("p", { class: "field-error", id: `${id}-error`, role: "alert" }, field.error) : null,
    field.hint ? h("p", { class: "field-hint", id: `${id}-hint` }, field.hint) : null,
  );
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1048576) return `${Math.round(bytes / 1024)} kB`;
  return `${(bytes / 1048576).toFixed(1)} MB`;
}

function drawFile(file) {
  const kind = (file.name.split(".").pop() || "file").slice(0, 5).toUpperCase();
  return h(
    "div",
    { class: "file" },
    h("span", { class: "file-kind", "aria-hidden": "true" }, kind),
    h("span", { class: "file-text" }, h("strong", {}, file.title || file.name), h("span", {}, `${file.name} · ${size(file.size)}`)),
    h("a", { class: "file-get", href: file.url, download: file.name }, "Download"),
  );
}
