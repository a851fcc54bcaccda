// Requests over kept connections: node:http costs a client less than fetch, and the client shares the machine.
import { Agent, request } from 'node:http';

/** A client of one app; each call resolves to the parsed reply, or rejects where the server refuses. */
export function apiOf({ base, app, secret }, connections) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const call = (method, path, body) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      const headers = { authorization: `Bearer ${secret}`, 'content-length': Buffer.byteLength(text) };
      const sent = request(`${base}/apps/${app}${path}`, { method, agent, headers }, (reply) => {
        const chunks = [];
        reply.on('data', (chunk) => chunks.push(chunk));
        reply.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          if (reply.statusCode < 300) resolve(JSON.parse(answer));
          else reject(new Error(`${method} ${path}: ${reply.statusCode} ${answer}`));
        });
      });
      sent.once('error', reject);
      sent.end(text);
    });
  return { call, close: () => agent.destroy() };
}
