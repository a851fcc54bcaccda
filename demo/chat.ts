/**
 * The chat box. The publisher's lines go to all viewers; one viewer's lines go to the publisher: that one's which pulled
 * the channel last. Nobody tells a viewer that it lost this, so each says who it is and the publisher passes it on.
 */
import { element } from './element.js';

type Message = { readonly text: string } | { readonly writer: string };

const MOST_LINES = 200;

export function chatBox() {
  const log = element('chatLog', HTMLDivElement);
  const state = element('chatState', HTMLParagraphElement);
  const input = element('chatText', HTMLInputElement);
  const button = element('chatSend', HTMLButtonElement);
  let send: (message: Message) => void = () => undefined;

  function allowWriting(allowed: boolean, why: string): void {
    input.disabled = !allowed;
    button.disabled = !allowed;
    state.textContent = why;
  }

  function add(from: string, text: string): void {
    const line = document.createElement('p');
    const name = document.createElement('strong');
    name.textContent = `${from}: `;
    line.append(name, text);
    log.append(line);
    if (log.childElementCount > MOST_LINES) log.firstElementChild?.remove();
    log.scrollTop = log.scrollHeight;
  }

  element('chatForm', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text === '' || input.disabled) return;
    send({ text });
    add('You', text);
    input.value = '';
  });

  function use(channel: RTCDataChannel, opened: () => void, received: (message: Message) => void): void {
    send = (message) => channel.send(JSON.stringify(message));
    channel.addEventListener('message', ({ data }) => {
      const message = messageOf(data);
      if (message !== undefined) received(message);
    });
    channel.addEventListener('close', () => allowWriting(false, 'The chat has ended.'));
    if (channel.readyState === 'open') opened();
    else channel.addEventListener('open', opened, { once: true });
  }

  return {
    publish(channel: RTCDataChannel): void {
      use(
        channel,
        () => allowWriting(true, 'All viewers read you; the last one that came can write.'),
        (message) => ('text' in message ? add('Viewer', message.text) : send(message)),
      );
    },
    join(channel: RTCDataChannel, ownId: string): void {
      use(
        channel,
        () => {
          allowWriting(true, 'The publisher reads you.');
          send({ writer: ownId });
        },
        (message) => {
          if ('text' in message) add('Publisher', message.text);
          else if (message.writer !== ownId)
            allowWriting(false, 'You can only read: another viewer came and writes now.');
        },
      );
    },
  };
}

/** Other pages' messages are not to be trusted. */
function messageOf(data: unknown): Message | undefined {
  try {
    const { text, writer } = JSON.parse(String(data)) as { text?: unknown; writer?: unknown };
    if (typeof text === 'string') return { text };
    return typeof writer === 'string' ? { writer } : undefined;
  } catch {
    return undefined;
  }
}
