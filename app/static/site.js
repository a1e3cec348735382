// The bar on top of every page: where one can go, who is logged in, log-out.

import { call } from "/ui/api_client.js";
import { make } from "/ui/elements.js";

const PAGES = [
  { path: "/", name: "Annotate", roles: ["annotator", "researcher", "admin"] },
  { path: "/browse", name: "Browse", roles: ["researcher", "admin"] },
  { path: "/rounds", name: "Rounds", roles: ["researcher", "admin"] },
];

async function addBar() {
  const me = await call("GET", "/api/v1/me");
  const here = location.pathname.replace(/\/$/, "") || "/";
  const links = PAGES.filter((page) => page.roles.includes(me.role)).map(({ path, name }) =>
    make("a", { href: path, "aria-current": path === here ? "page" : null }, name),
  );
  const bar = make(
    "header",
    { class: "vp-site" },
    make("a", { class: "vp-brand", href: "/" }, make("img", { src: "/ui/mark.svg", alt: "", width: 24, height: 24 }), make("span", {}, "vidpref")),
    make("nav", { "aria-label": "Pages" }, ...links),
    make("span", { class: "vp-who" }, me.name),
    make("form", { method: "post", action: "/logout" }, make("button", { type: "submit", class: "vp-plain" }, "Log out")),
  );
  document.body.prepend(bar);
}

addBar();
