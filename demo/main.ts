/** The page: one click publishes and pulls back; `?pull=<session>&tracks=a,b` pulls another tab's tracks. */
import { publish, pull, pullChat } from './call.js';
import { chatBox } from './chat.js';
import { element } from './element.js';
import { type Figures, figuresOf } from './figures.js';

const start = element('start', HTMLButtonElement);
const status = element('status', HTMLParagraphElement);
const query = new URLSearchParams(location.search);
const publisher = query.get('pull');
const chat = chatBox();

function say(text: string, kind: 'progress' | 'problem' = 'progress') {
  status.textContent = text;
  status.setAttribute('data-kind', kind);
}

function show(figures: Figures, list: HTMLElement) {
  const rows = figures.flatMap(([name, value]) => {
    const term = document.createElement('dt');
    const description = document.createElement('dd');
    term.textContent = name;
    description.textContent = value;
    return [term, description];
  });
  list.replaceChildren(...rows);
}

function watch(connection: RTCPeerConnection, direction: 'inbound-rtp' | 'outbound-rtp', list: string) {
  const read = figuresOf(connection, direction);
  const target = element(list, HTMLDListElement);
  setInterval(async () => show(await read(), target), 1000);
  connection.addEventListener('connectionstatechange', () => {
    if (connection.connectionState === 'failed') say('The connection was lost.', 'problem');
  });
}

async function pullInto(sessionId: string, trackNames: string[]) {
  const stream = new MediaStream();
  element('pulled', HTMLVideoElement).srcObject = stream;
  const session = await pull(sessionId, trackNames, stream);
  watch(session.connection, 'inbound-rtp', 'pulledFigures');
  return session;
}

async function publishAndPull() {
  say('Asking for camera and microphone…');
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: true,
    video: { width: 1280, height: 720 },
  });
  element('original', HTMLVideoElement).srcObject = stream;
  say('Publishing…');
  const { session, trackNames, chat: channel } = await publish(stream);
  chat.publish(channel);
  watch(session.connection, 'outbound-rtp', 'originalFigures');
  say('Pulling back…');
  await pullInto(session.sessionId, trackNames);
  const share = new URL(location.href);
  share.search = new URLSearchParams({
    pull: session.sessionId,
    tracks: trackNames.join(','),
  }).toString();
  const link = element('shareLink', HTMLAnchorElement);
  link.href = share.href;
  link.textContent = share.href;
  element('share', HTMLParagraphElement).hidden = false;
  say(`Live. Session ${session.sessionId}`);
}

async function pullOnly(sessionId: string) {
  say('Pulling…');
  const session = await pullInto(sessionId, (query.get('tracks') ?? 'audio,video').split(','));
  chat.join(await pullChat(session, sessionId), session.sessionId);
  say(`Live. Pulling from session ${sessionId}`);
}

if (publisher !== null) {
  start.textContent = 'Pull the other tab’s tracks';
  element('originalFigure', HTMLElement).hidden = true;
}
start.addEventListener('click', async () => {
  start.disabled = true;
  try {
    await (publisher === null ? publishAndPull() : pullOnly(publisher));
  } catch (error) {
    say(error instanceof Error ? error.message : String(error), 'problem');
    start.disabled = false;
  }
});
