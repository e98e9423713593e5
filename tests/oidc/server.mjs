// A real OpenID Provider on loopback for tests and the demonstration: `oidc-provider`, which is certified, with people
// and workloads from a file. Not for production: passwords stand in a file, everything else is in memory.
//
//   node server.mjs --cert FILE --key FILE --users FILE [--port N] [--client-id ID] [--audience NAME] [--ttl SECONDS]
//
//   --cert, --key   certificate chain and key in PEM; the certificate must be good for `localhost`
//   --users         JSON: {"people": [{"login", "password", "name", "email", "groups": []}],
//                          "workloads": [{"client_id", "client_secret", "groups": []}]}
//   --port          port on 127.0.0.1; 0 or nothing: any free one
//   --client-id     the public client that `vestibule login` uses (default: vestibule-cli)
//   --audience      `aud` of the workloads' access tokens (default: vestibule)
//   --ttl           seconds that ID and access tokens are good for (default: 600)
//
// When it is ready it prints one line, `ready https://localhost:PORT`: the issuer. It offers authorization code with
// PKCE (redirects to http://127.0.0.1:ANY/callback), the device grant, refresh tokens, and client credentials.
// Scopes: openid, profile, email, groups, offline_access. On SIGUSR2 it makes a new signing key, forgets the old one,
// and prints `rotated`. It ends when its standard input ends, if that is a pipe, or on SIGTERM.
//
// The login form is one plain HTML form with the fields `login` and `password`; `login.mjs` walks it without a browser.

import { createPrivateKey, generateKeyPairSync, randomBytes, timingSafeEqual, createHash } from 'node:crypto';
import { fstatSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';

const { values: options } = parseArgs({
  options: {
    cert: { type: 'string' },
    key: { type: 'string' },
    users: { type: 'string' },
    port: { type: 'string', default: '0' },
    'client-id': { type: 'string', default: 'vestibule-cli' },
    audience: { type: 'string', default: 'vestibule' },
    ttl: { type: 'string', default: '600' },
  },
});
for (const name of ['cert', 'key', 'users']) {
  if (!options[name]) {
    console.error(`server.mjs: --${name} is missing; see the top of the file`);
    process.exit(2);
  }
}
const { people = [], workloads = [] } = JSON.parse(readFileSync(options.users, 'utf8'));
const ttl = Number(options.ttl);
const cookieKeys = [randomBytes(32).toString('hex')];

const RESOURCE = 'urn:vestibule:gateway';

function signingKey() {
  // By way of text: Node 20 locks up when it exports a key as a JWK while the job that made this key is collected.
  const encoding = { type: 'pkcs8', format: 'pem' };
  const made = generateKeyPairSync('rsa', {
    modulusLength: 2048, privateKeyEncoding: encoding, publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return { ...createPrivateKey(made.privateKey).export({ format: 'jwk' }), kid: randomBytes(6).toString('hex'), use: 'sig', alg: 'RS256' };
}

function configuration() {
  return {
    clients: [
      {
        client_id: options['client-id'],
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
      },
      ...workloads.map(({ client_id, client_secret }) => ({
        client_id,
        client_secret,
        token_endpoint_auth_method: 'client_secret_post',
        redirect_uris: [],
        grant_types: ['client_credentials'],
        response_types: [],
      })),
    ],
    jwks: { keys: [signingKey()] },
    cookies: { keys: cookieKeys },
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    scopes: ['openid', 'offline_access'],
    // Everything in the ID token: it is what is exchanged at the gateway.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (ctx.oidc.params.grant_type === 'client_credentials' ? RESOURCE : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '',
          audience: options.audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: ttl,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    async extraTokenClaims(ctx, token) {
      const workload = workloads.find((w) => w.client_id === token.clientId);
      return workload ? { groups: workload.groups ?? [], azp: options.audience } : undefined;
    },
    async findAccount(ctx, id) {
      const person = people.find((p) => p.login === id);
      if (!person) return undefined;
      return {
        accountId: id,
        claims: async () => ({
          sub: id,
          name: person.name,
          preferred_username: person.login,
          email: person.email,
          email_verified: person.email !== undefined,
          groups: person.groups ?? [],
        }),
      };
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    ttl: {
      IdToken: ttl,
      AccessToken: ttl,
      ClientCredentials: ttl,
      DeviceCode: 300,
      AuthorizationCode: 60,
      Interaction: 600,
      Session: 3600,
      Grant: 86400,
      RefreshToken: 86400,
    },
    renderError(ctx, out) {
      ctx.type = 'text/plain';
      ctx.body = `${out.error}: ${out.error_description ?? ''}\n`;
    },
  };
}

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function form(uid, client, note) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title>
<style>body{font:16px system-ui;max-width:22em;margin:4em auto}input,button{display:block;width:100%;margin:.5em 0;padding:.5em;box-sizing:border-box}</style>
<h1>Log in</h1><p>to continue to ${escape(client)}</p>${note ? `<p role="alert">${escape(note)}</p>` : ''}
<form method="post" action="/interaction/${escape(uid)}">
<label>User<input name="login" value="" autocomplete="username" autofocus></label>
<label>Password<input name="password" type="password" value="" autocomplete="current-password"></label>
<button type="submit">Log in</button></form></html>\n`;
}

const digest = (text) => createHash('sha256').update(String(text)).digest();
const sameText = (a, b) => timingSafeEqual(digest(a), digest(b));

function body(req) {
  return new Promise((resolve, reject) => {
    let text = '';
    req.on('data', (piece) => {
      text += piece;
      if (text.length > 10_000) reject(new Error('too long'));
    });
    req.on('end', () => resolve(new URLSearchParams(text)));
    req.on('error', reject);
  });
}

function page(res, status, html) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  res.end(html);
}

async function interact(provider, req, res) {
  const { uid, params, grantId } = await provider.interactionDetails(req, res);
  if (req.method !== 'POST') return page(res, 200, form(uid, params.client_id));
  const given = await body(req);
  const person = people.find((p) => p.login === given.get('login'));
  if (!person || !sameText(person.password, given.get('password') ?? '')) {
    return page(res, 403, form(uid, params.client_id, 'User or password is wrong.'));
  }
  // Whoever logs in here has agreed: it is the organisation's own client.
  const known = grantId && (await provider.Grant.find(grantId));
  const grant = known || new provider.Grant({ accountId: person.login, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? 'openid');
  const result = { login: { accountId: person.login, amr: ['pwd'] }, consent: { grantId: await grant.save() } };
  return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
}

const server = createServer({ cert: readFileSync(options.cert), key: readFileSync(options.key) });
server.listen(Number(options.port), '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`;
  const make = () => {
    const provider = new Provider(issuer, configuration());
    provider.on('server_error', (ctx, error) => console.error(error));
    return { provider, handle: provider.callback() };
  };
  let current = make();
  server.on('request', (req, res) => {
    if (!req.url.startsWith('/interaction/')) return current.handle(req, res);
    return interact(current.provider, req, res).catch((error) => {
      page(res, 400, `<!doctype html><p>${escape(error.message)}</p>\n`);
    });
  });
  process.on('SIGUSR2', () => {
    current = make();
    console.log('rotated');
  });
  console.log(`ready ${issuer}`);
});

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
// A test that dies leaves no server behind. (A pipe may also be a socket, as Node itself makes them.)
if (fstatSync(0).isFIFO() || fstatSync(0).isSocket()) {
  process.stdin.on('end', () => process.exit(0)).on('error', () => {});
  process.stdin.resume();
}
