// Logs in like a person with a browser, without one: opens an address, fills in the provider's forms, follows its
// redirects, and at last calls the address on loopback that the login began at.
//
//   NODE_EXTRA_CA_CERTS=ca.pem node login.mjs --user NAME --password WORDS [--code USER_CODE] URL
//
// Prints where it ended, and ends with 0 if the login came to its end.

import { parseArgs } from 'node:util';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { user: { type: 'string' }, password: { type: 'string' }, code: { type: 'string' } },
});
const cookies = new Map();

async function ask(url, form) {
  const headers = { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  // Cookies are the provider's only.
  if (new URL(url).protocol === 'http:') delete headers.cookie;
  const answer = await fetch(url, { redirect: 'manual', headers, method: form ? 'POST' : 'GET', body: form });
  for (const line of answer.headers.getSetCookie()) {
    const [pair] = line.split(';');
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (value === '' || /expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(name);
    else cookies.set(name, value);
  }
  return answer;
}

const attribute = (tag, name) => tag.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1]?.replaceAll('&amp;', '&');

function filled(html) {
  const form = html.match(/<form[^>]*>/)?.[0];
  if (!form) return undefined;
  const fields = new URLSearchParams();
  for (const [tag] of html.matchAll(/<input[^>]*>/g)) {
    const name = attribute(tag, 'name');
    if (!name) continue;
    const mine = { login: options.user, password: options.password, user_code: options.code };
    fields.set(name, mine[name] ?? attribute(tag, 'value') ?? '');
  }
  return { action: attribute(form, 'action'), fields };
}

let url = positionals[0];
let form;
let logins = 0;
for (let step = 0; step < 20; step += 1) {
  const answer = await ask(url, form);
  form = undefined;
  const next = answer.headers.get('location');
  if (next) {
    url = new URL(next, url).href;
    continue;
  }
  const html = await answer.text();
  const page = answer.ok ? filled(html) : undefined;
  if (page?.fields.has('login')) logins += 1;
  if (!page || logins > 1) {
    console.log(`${answer.status} ${new URL(url).origin}${new URL(url).pathname}`);
    if (!answer.ok) console.error(html.slice(0, 500));
    process.exit(answer.ok && !page ? 0 : 1);
  }
  url = new URL(page.action, url).href;
  form = page.fields;
}
console.error('too many steps');
process.exit(1);
