/** The API that pages use instead of Switchyard's: the same, judged, and with the secret added. */
import type { FastifyInstance } from 'fastify';
import { judge } from './guard.ts';
import type { Member, Rooms } from './room.ts';
import type { Answer, Switchyard } from './switchyard.ts';

export function addApi(app: FastifyInstance, rooms: Rooms, switchyard: Switchyard): void {
  app.route({
    method: ['POST', 'PUT'],
    url: '/api/*',
    handler: async (request, reply) => {
      const token = /^Bearer (\w+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
      const member = rooms.ofToken(token);
      if (member === undefined) return reply.code(401).send(refusal('unauthorized', 'Join a room first.'));
      const path = `/${(request.params as { readonly '*': string })['*']}`;
      const verdict = judge(rooms, member, request.method, path, request.body);
      if (!verdict.allowed) return reply.code(403).send(refusal('forbidden', verdict.why));
      const answer = await switchyard.pass(request.method, path, request.body);
      remember(member, rooms, path, answer, request.body);
      return reply.code(answer.status).send(answer.body);
    },
  });
}

const refusal = (errorCode: string, errorDescription: string) => ({ errorCode, errorDescription });

interface Result {
  readonly sessionId?: string;
  readonly tracks?: readonly {
    readonly location?: string;
    readonly mid?: string;
    readonly trackName?: string;
    readonly errorCode?: string;
  }[];
}

/** What a member has after an operation, and what the others must hear of it. */
function remember(member: Member, rooms: Rooms, path: string, answer: Answer, asked: unknown): void {
  if (answer.status >= 300) return;
  const result = answer.body as Result;
  const open = (result.tracks ?? []).flatMap((track) => (track.errorCode === undefined ? [track] : []));
  if (path === '/sessions/new') member.sessionId = result.sessionId;
  if (path.endsWith('/tracks/close')) for (const { mid } of open) member.mids.delete(mid ?? '');
  if (!path.endsWith('/tracks/new')) return;
  for (const { mid } of open) if (mid !== undefined) member.mids.add(mid);
  const locals = (asked as Result | undefined)?.tracks?.filter(({ location }) => location === 'local') ?? [];
  const published = locals.find(({ trackName }) => open.some((track) => track.trackName === trackName));
  if (published?.trackName === undefined) return;
  member.microphone = published.trackName;
  rooms.changed(member);
}
