/** The backend of the audio room: serves the page, holds the secrets, judges and passes requests, tells who is there. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import { fastify } from 'fastify';
import { addApi } from './api.ts';
import { readConfig } from './config.ts';
import { addNotices } from './notices.ts';
import { openRooms } from './room.ts';
import { openSwitchyard } from './switchyard.ts';

const config = readConfig(process.env);
const rooms = openRooms();
const switchyard = openSwitchyard(config);
const app = fastify();

// This file runs as dist/backend/main.js.
const example = join(dirname(fileURLToPath(import.meta.url)), '../..');
const scripts = (path: string): boolean => /^\/[\w./-]+\.js(\.map)?$/.test(path);
await app.register(fastifyStatic, {
  root: join(example, 'page'),
  allowedPath: (path) => !path.endsWith('.ts'),
});
await app.register(fastifyStatic, {
  root: join(example, 'dist/page'),
  prefix: '/scripts/',
  decorateReply: false,
  allowedPath: scripts,
});
await app.register(fastifyStatic, {
  root: dirname(fileURLToPath(import.meta.resolve('@switchyard/client'))),
  prefix: '/client/',
  decorateReply: false,
  allowedPath: scripts,
});
addApi(app, rooms, switchyard);
addNotices(app.server, rooms, switchyard);

const address = await app.listen({ host: '127.0.0.1', port: config.port });
console.log(`The audio room is at ${address}`);
