// Slack draws emoji as pictures of its own, so a machine without an emoji font shows them too.
// The character stays in the document for copying, for screen readers and for tests.
"use strict";

const svg = (inside) => `<svg viewBox="0 0 20 20" aria-hidden="true">${inside}</svg>`;
const disc = (colour, rim) =>
  svg(`<circle cx="10" cy="10" r="8.2" fill="${colour}" stroke="${rim}" stroke-width="1"/><ellipse cx="7.6" cy="6.6" rx="3" ry="1.9" fill="#fff" opacity=".28"/>`);
const white = 'fill="none" stroke="#fff" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"';
const ink = 'fill="none" stroke="#5b5b60" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"';

const EMOJI = {
  "🔴": ["red circle", disc("#dd2e44", "#b3142b")],
  "🟢": ["green circle", disc("#4caf50", "#2f8a38")],
  "🟡": ["yellow circle", disc("#f6c945", "#cf9f13")],
  "🟠": ["orange circle", disc("#f08a24", "#c4660a")],
  "🔵": ["blue circle", disc("#3b88c3", "#24689c")],
  "✅": ["done", svg(`<rect x="1.8" y="1.8" width="16.4" height="16.4" rx="4" fill="#2e9e5b"/><path d="M5.6 10.4l3 3 5.8-6.6" ${white}/>`)],
  "✔": ["check mark", svg('<path d="M3.8 10.8l4 4L16.2 5" fill="none" stroke="#2e9e5b" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round"/>')],
  "☑": ["checked", svg(`<rect x="1.8" y="1.8" width="16.4" height="16.4" rx="4" fill="#3b88c3"/><path d="M5.6 10.4l3 3 5.8-6.6" ${white}/>`)],
  "☐": ["open box", svg('<rect x="2.6" y="2.6" width="14.8" height="14.8" rx="3" fill="none" stroke="#8a8a90" stroke-width="1.6"/>')],
  "▫": ["not yet", svg('<rect x="5.2" y="5.2" width="9.6" height="9.6" rx="2" fill="none" stroke="#9a9aa1" stroke-width="1.6"/>')],
  "❌": ["cross", svg('<path d="M4.4 4.4l11.2 11.2M15.6 4.4L4.4 15.6" fill="none" stroke="#dd2e44" stroke-width="3" stroke-linecap="round"/>')],
  "⚠": ["warning", svg('<path d="M10 2.2l8.3 14.9H1.7z" fill="#f7c23c" stroke="#d69d0f" stroke-linejoin="round"/><path d="M10 7.4v4.4" stroke="#463a12" stroke-width="2" stroke-linecap="round"/><circle cx="10" cy="14.4" r="1.15" fill="#463a12"/>')],
  "⛔": ["no entry", svg('<circle cx="10" cy="10" r="8.4" fill="#d7263d"/><rect x="4.6" y="8.3" width="10.8" height="3.4" rx=".8" fill="#fff"/>')],
  "🛑": ["stop", svg('<path d="M6.6 1.8h6.8l4.8 4.8v6.8l-4.8 4.8H6.6l-4.8-4.8V6.6z" fill="#d7263d"/><path d="M6.3 10h7.4" stroke="#fff" stroke-width="2.4" stroke-linecap="round"/>')],
  "⏳": ["running", svg('<path d="M5 2.6h10M5 17.4h10" stroke="#8a5a2b" stroke-width="2" stroke-linecap="round"/><path d="M6.2 3.4c0 4 2.6 4.6 3 6.6-.4 2-3 2.6-3 6.6h7.6c0-4-2.6-4.6-3-6.6.4-2 3-2.6 3-6.6z" fill="#cfe6f5" stroke="#7fa8c2"/><path d="M7.4 5.4h5.2c-.5 2-1.9 2.5-2.6 4-.7-1.5-2.1-2-2.6-4zM7.3 16c.4-1.8 1.6-2 2.7-2.4 1.1.4 2.3.6 2.7 2.4z" fill="#e8a33d"/>')],
  "⌛": ["time is up", svg('<path d="M5 2.6h10M5 17.4h10" stroke="#8a5a2b" stroke-width="2" stroke-linecap="round"/><path d="M6.2 3.4c0 4 2.6 4.6 3 6.6-.4 2-3 2.6-3 6.6h7.6c0-4-2.6-4.6-3-6.6.4-2 3-2.6 3-6.6z" fill="#cfe6f5" stroke="#7fa8c2"/><path d="M6.9 16c.3-2.6 1.5-3.4 3.1-3.8 1.6.4 2.8 1.2 3.1 3.8z" fill="#e8a33d"/>')],
  "ℹ": ["information", svg('<rect x="1.8" y="1.8" width="16.4" height="16.4" rx="4" fill="#3b88c3"/><circle cx="10" cy="5.8" r="1.4" fill="#fff"/><path d="M10 9.2v5.6" stroke="#fff" stroke-width="2.4" stroke-linecap="round"/>')],
  "🚨": ["alarm", svg('<path d="M5.2 15V9.6a4.8 4.8 0 019.6 0V15z" fill="#dd2e44"/><rect x="3.2" y="14.6" width="13.6" height="3" rx="1" fill="#6b7480"/><path d="M10 1v1.8M2.6 4.4l1.4 1.2M17.4 4.4L16 5.6" stroke="#f08a24" stroke-width="1.7" stroke-linecap="round"/>')],
  "📞": ["telephone", svg('<path d="M5.2 2.6l2.4 3.6-1.5 1.7c1 2.3 3.2 4.5 5.6 5.7l1.8-1.6 3.7 2.4c-.2 1.8-1.7 3-3.3 2.8C8 16.4 3.3 11.8 2.5 5.900c-.2-1.7 1-3.1 2.7-3.300z" fill="#55606e"/>')],
  "🔔": ["bell", svg('<path d="M10 2.200a5 5 0 00-5 5v4l-1.6 2.800h13.200L15 11.200v-4a5 5 0 00-5-5z" fill="#f6c945" stroke="#cf9f13"/><path d="M8 15.600a2 2 0 004 0z" fill="#cf9f13"/>')],
  "🔒": ["lock", svg('<path d="M6.2 9V6.400a3.8 3.8 0 017.6 0V9" fill="none" stroke="#8a8f98" stroke-width="2"/><rect x="4.2" y="8.6" width="11.6" height="8.8" rx="1.8" fill="#f0b429"/><circle cx="10" cy="12.6" r="1.5" fill="#6b4e00"/>')],
  "📝": ["note", svg(`<rect x="3.4" y="2.4" width="11.6" height="15.2" rx="1.6" fill="#fff" stroke="#b5b5bd"/><path d="M6 6.400h6.400M6 9.400h6.400M6 12.400h3.6" ${ink}/><path d="M10.4 15.600l.6-2.4 5.4-5.4 1.8 1.8-5.4 5.400z" fill="#f08a24"/>`)],
  "📋": ["clipboard", svg(`<rect x="3.6" y="3.2" width="12.8" height="14.6" rx="1.8" fill="#a9713c"/><rect x="5.2" y="5" width="9.6" height="11.4" fill="#fff"/><rect x="7.2" y="1.8" width="5.6" height="3.4" rx="1" fill="#8f98a3"/><path d="M7 8.400h6M7 11h6M7 13.600h3.6" ${ink}/>`)],
  "🔧": ["wrench", svg('<path d="M12.4 2.400a4.8 4.8 0 00-3.6 6.600l-6.4 6.400a1.9 1.9 0 002.6 2.700l6.4-6.500a4.8 4.8 0 006-6l-2.8 2.8-2.6-.6-.6-2.600z" fill="#7b8794"/>')],
  "⏩": ["fast forward", svg('<rect x="1.8" y="1.8" width="16.4" height="16.4" rx="4" fill="#3b88c3"/><path d="M4.6 6v8l5.2-4zM10 6v8l5.2-4z" fill="#fff"/>')],
  "➡": ["right", svg(`<rect x="1.8" y="1.8" width="16.4" height="16.4" rx="4" fill="#3b88c3"/><path d="M5 10h9.600M11 6.400l3.6 3.6-3.6 3.6" ${white}/>`)],
  "⏱": ["stopwatch", svg('<circle cx="10" cy="11.4" r="6.6" fill="#fff" stroke="#55606e" stroke-width="1.8"/><path d="M8 1.800h4M10 2v2.600M10 11.400V7.8" stroke="#55606e" stroke-width="1.8" stroke-linecap="round"/><path d="M10 11.400l2.6 1.6" stroke="#dd2e44" stroke-width="1.6" stroke-linecap="round"/>')],
  "🚧": ["roadworks", svg('<rect x="1.6" y="5" width="16.8" height="6" rx="1" fill="#f6c945"/><path d="M3 11l3-6h3l-3 6zM9.4 11l3-6h3l-3 6z" fill="#2d2d33"/><path d="M4.6 11v6M15.4 11v6" stroke="#7b8794" stroke-width="1.8" stroke-linecap="round"/>')],
  "👀": ["eyes", svg('<ellipse cx="5.8" cy="10" rx="3.8" ry="6" fill="#fff" stroke="#b5b5bd"/><ellipse cx="14.2" cy="10" rx="3.8" ry="6" fill="#fff" stroke="#b5b5bd"/><ellipse cx="4.8" cy="11" rx="1.7" ry="2.6" fill="#33343a"/><ellipse cx="13.2" cy="11" rx="1.7" ry="2.6" fill="#33343a"/>')],
};
const EMOJI_PATTERN = new RegExp(`(${Object.keys(EMOJI).join("|")})\uFE0F?`, "u");

function withEmoji(text) {
  const nodes = [];
  let rest = text;
  for (;;) {
    const found = EMOJI_PATTERN.exec(rest);
    if (!found) break;
    if (found.index) nodes.push(document.createTextNode(rest.slice(0, found.index)));
    const [name, picture] = EMOJI[found[1]];
    const box = document.createElement("span");
    box.className = "emoji";
    box.title = name;
    box.innerHTML = picture; // our own drawing, never a person's text
    const letter = document.createElement("span");
    letter.className = "emoji-letter";
    letter.textContent = found[0];
    box.append(letter);
    nodes.push(box);
    rest = rest.slice(found.index + found[0].length);
  }
  if (rest) nodes.push(document.createTextNode(rest));
  return nodes;
}
