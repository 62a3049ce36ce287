"use strict";
const said = document.querySelector("[role=status]"), form = document.querySelector("form");
const home = new URLSearchParams(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
const tell = (title, detail) => { said.textContent = detail ? `${title}. ${detail}` : title; };
const post = async (path, body) => {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ...body, transport: "cookie" }),
  });
  return [answer.status, await answer.json()];
};
const finish = async (path, body) => {
  try {
    const [status, answer] = await post(path, body);
    if (status === 200) return location.replace("/");
    if (status === 201) return tell("The account is linked");
    form.hidden = !(answer.challenge || (status === 401 && body.challenge));
    form.dataset.challenge = answer.challenge ?? body.challenge ?? "";
    tell(answer.title, answer.challenge ? "" : answer.detail);
  } catch {
    tell(said.dataset.unavailable);
  }
};
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const code = form.elements.code.value.trim();
  const factor = /^[0-9]{6}$/.test(code) ? { totp: code } : { backup_code: code };
  form.reset();
  finish("/v1/auth/second-factor", { challenge: form.dataset.challenge, ...factor });
});
const titles = JSON.parse(document.querySelector("#titles").textContent);
if (home.get("code")) finish("/v1/auth/oauth/handoff", { code: home.get("code") });
else tell(titles[home.get("error")] ?? titles["oauth-expired"]);
