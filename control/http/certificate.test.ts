import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect as connectPlain, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { beforeEach, expect, test, vi } from 'vitest';
import { type Certificate, type CertificateFiles, openCertificate } from './certificate.ts';
import { openListener } from './listener.ts';

let files: CertificateFiles;
let warnings: string[];
const nothing = (): void => {};
const log = {
  debug: nothing,
  info: nothing,
  warn: (about: object) => void warnings.push(JSON.stringify(about)),
  error: nothing,
};

beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-'));
  files = { certificate: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
  warnings = [];
});

async function pair(name: string): Promise<{ cert: string; key: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-'));
  const [cert, key] = [join(directory, 'c'), join(directory, 'k')];
  const options = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'];
  execFileSync('openssl', ['req', ...options, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}

/** As tools replace a file: another one takes its name. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

async function serve(certificate: Certificate): Promise<{ port: number; stop: () => void }> {
  const server = openListener((_request, response) => response.end('hello'), certificate);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, stop: () => void server.close() };
}

function open(port: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => resolve(socket));
    socket.once('error', reject);
  });
}

async function nameOf(port: number): Promise<string> {
  const socket = await open(port);
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

test('a certificate that changes is taken for new connections, and those that are open stay', async () => {
  const [first, second] = [await pair('first'), await pair('second')];
  await replace(files.certificate, first.cert);
  await replace(files.key, first.key);
  const { port, stop } = await serve(openCertificate(files, log, 10));
  const before = await open(port);
  expect(await nameOf(port)).toBe('first');
  // One file after the other, as tools replace them.
  await replace(files.certificate, second.cert);
  await vi.waitFor(() => expect(warnings).toHaveLength(1));
  expect(warnings[0]).toContain('is the key of another certificate');
  expect(await nameOf(port)).toBe('first');
  await replace(files.key, second.key);
  await vi.waitFor(async () => expect(await nameOf(port)).toBe('second'));
  before.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const answer = await new Promise<string>((resolve) => before.once('data', (data) => resolve(String(data))));
  expect(answer).toContain('200 OK');
  before.destroy();
  await replace(files.certificate, 'no certificate');
  await vi.waitFor(() => expect(warnings.length).toBeGreaterThan(1));
  expect(await nameOf(port)).toBe('second');
  stop();
});

test('a directory that cannot be searched leaves the certificate before in force', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'switchyard-'));
  const place = join(directory, 'place');
  const kept = join(directory, 'kept');
  await mkdir(place);
  files = { certificate: join(place, 'cert.pem'), key: join(place, 'key.pem') };
  const own = await pair('own');
  await replace(files.certificate, own.cert);
  await replace(files.key, own.key);
  const { port, stop } = await serve(openCertificate(files, log, 10));
  await rename(place, kept);
  // A file where the directory was: ENOTDIR, as EACCES no "missing".
  await writeFile(place, '');
  await vi.waitFor(() => expect(warnings.length).toBeGreaterThan(0));
  expect(await nameOf(port)).toBe('own');
  stop();
});

test('a TLS handshake that does not end is cut off, also where a byte comes now and then', async () => {
  const own = await pair('own');
  await replace(files.certificate, own.cert);
  await replace(files.key, own.key);
  const deadlines = { request: 60_000, headers: 200, idle: 60_000, check: 50 };
  const certificate = openCertificate(files, log);
  let answer: (() => void) | undefined;
  const server = openListener(
    (_request, response) => {
      answer = () => response.end('hello');
    },
    certificate,
    deadlines,
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const stranger = (): Socket =>
    connectPlain({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', nothing);
  const connections = (): Promise<number> =>
    new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
  const user = await open(port);
  user.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await vi.waitFor(() => expect(answer).toBeDefined());
  const [silent, trickle] = [stranger(), stranger()];
  // The head of a ClientHello of 508 bytes.
  trickle.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
  const timer = setInterval(() => trickle.write(Buffer.from([1])), 20);
  await vi.waitFor(async () => expect(await connections()).toBe(3));
  await vi.waitFor(async () => expect(await connections()).toBe(1)).finally(() => clearInterval(timer));
  for (const socket of [silent, trickle]) socket.destroy();
  // The time limit of the handshake is none of the connection.
  const received = new Promise<string>((resolve) => user.once('data', (data) => resolve(String(data))));
  answer?.();
  expect(await received).toContain('200 OK');
  user.destroy();
  server.close();
});

test.each(['missing', 'damaged', 'of another certificate'])(
  'a start with a key that is %s says so and shows nothing of it',
  async (kind) => {
    const own = await pair('own');
    await replace(files.certificate, own.cert);
    if (kind === 'damaged') await replace(files.key, 'secret text');
    if (kind === 'of another certificate') await replace(files.key, (await pair('other')).key);
    const start = (): Certificate => openCertificate(files, log);
    expect(start).toThrow(/SWITCHYARD_TLS_KEY|cannot be read/);
    expect(start).not.toThrow(/secret text|BEGIN/);
  },
);
