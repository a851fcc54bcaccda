import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ended } from '../harness/ended.ts';
import { freeTcpPort } from '../harness/ports.ts';
import { type Switchyard, startSwitchyard } from '../harness/switchyard.ts';
import { until } from '../harness/until.ts';

let switchyard: Switchyard;
let nginx: ChildProcess;
let directory: string;
/** One that passes requests on with nginx's own defaults, one that passes the client's Host on, one that says for whom. */
let proxies: string[];

beforeAll(async () => {
  // As an operator has it: on loopback, behind a proxy on the same host.
  switchyard = await startSwitchyard('127.0.0.1', { SWITCHYARD_METRICS: 'token' });
  directory = await mkdtemp(join(tmpdir(), 'switchyard-nginx-'));
  const ports = [await freeTcpPort(), await freeTcpPort(), await freeTcpPort()];
  const extra = [
    '',
    'proxy_set_header Host $http_host;',
    'proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Real-IP $remote_addr;',
  ];
  const servers = ports.map(
    (port, at) =>
      `server { listen 127.0.0.1:${port}; location / { proxy_pass ${switchyard.origin}; ${extra[at]} } }`,
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/${name};`,
  );
  const text = `daemon off; worker_processes 1; pid ${directory}/pid; error_log ${directory}/error.log;
events {} http { access_log off; ${temporary.join(' ')} ${servers.join('\n')} }`;
  await writeFile(join(directory, 'nginx.conf'), text);
  nginx = spawn('nginx', ['-c', join(directory, 'nginx.conf'), '-p', directory], { stdio: 'inherit' });
  proxies = ports.map((port) => `http://127.0.0.1:${port}`);
  for (const proxy of proxies)
    await until(
      'nginx answers',
      () =>
        fetch(proxy).then(
          () => true,
          () => false,
        ),
      (answers) => answers,
    );
});

afterAll(async () => {
  nginx?.kill('SIGTERM');
  if (nginx !== undefined) await ended(nginx);
  await switchyard?.stop();
  await rm(directory, { recursive: true, force: true });
});

test('what needs a secret passes a proxy, and what is for the operator alone does not open behind it', async () => {
  const post = (url: string, secret?: string, host?: string): Promise<number> =>
    fetch(url, {
      method: 'POST',
      headers: {
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
        ...(host === undefined ? {} : { host }),
      },
    }).then(({ status }) => status);
  const link = new URL(switchyard.demoLink());
  for (const proxy of proxies) {
    expect(await post(`${proxy}/v1/apps/${switchyard.appId}/sessions/new`, switchyard.secret)).toBe(201);
    for (const host of [undefined, '127.0.0.1', 'localhost', new URL(switchyard.origin).host])
      expect(await post(`${proxy}/demo/api/sessions/new`, undefined, host)).toBe(401);
    expect(await post(`${proxy}/demo/api/sessions/new`, switchyard.secret)).toBe(401);
    // Who has the printed link may use the demo through the proxy as well.
    expect(await post(`${proxy}/demo/api/sessions/new`, link.hash.slice(1))).toBe(201);
    expect((await fetch(`${proxy}/metrics`)).status).toBe(401);
    const headers = { authorization: `Bearer ${switchyard.accountToken}` };
    expect((await fetch(`${proxy}/metrics`, { headers })).status).toBe(200);
  }
});

test('the token of the demo is in no log', () => {
  const token = new URL(switchyard.demoLink()).hash.slice(1);
  expect(token).toMatch(/^[0-9a-f]{32}$/);
  expect(switchyard.log().replace(switchyard.demoLink(), '')).not.toContain(token);
});
