/** The page: a form to join, a list of who is there and who speaks, two buttons. */
import { joinRoom, type Room } from './room.ts';

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

/** Above this somebody speaks; a quiet room is about 0.01. */
const SPEAKING_LEVEL = 0.03;
const LEVEL_INTERVAL_MS = 200;

const form = element('join', HTMLFormElement);
const status = element('status', HTMLParagraphElement);
const inside = element('inside', HTMLElement);
const list = element('participants', HTMLUListElement);
const muteButton = element('mute', HTMLButtonElement);
let room: Room | undefined;

function show(): void {
  const items = (room?.participants() ?? []).map(({ id, name, muted }) => {
    const item = document.getElementById(`participant-${id}`) ?? document.createElement('li');
    item.id = `participant-${id}`;
    item.textContent = name;
    item.classList.toggle('muted', muted);
    return item;
  });
  list.replaceChildren(...items);
}

async function showLevels(): Promise<void> {
  for (const { id } of room?.participants() ?? []) {
    const speaks = ((await room?.level(id)) ?? 0) > SPEAKING_LEVEL;
    document.getElementById(`participant-${id}`)?.classList.toggle('speaking', speaks);
  }
}

function end(why: string): void {
  room = undefined;
  status.textContent = why;
  form.hidden = false;
  inside.hidden = true;
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  form.hidden = true;
  status.textContent = 'Joining…';
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const [microphone] = stream.getAudioTracks();
    if (microphone === undefined) throw new Error('there is no microphone');
    room = await joinRoom({
      room: element('room', HTMLInputElement).value,
      name: element('name', HTMLInputElement).value,
      microphone,
      onChange: show,
      onEnd: end,
    });
    status.textContent = '';
    muteButton.setAttribute('aria-pressed', 'false');
    inside.hidden = false;
    show();
  } catch (error) {
    end(error instanceof Error ? error.message : String(error));
  }
});

muteButton.addEventListener('click', () => {
  const muted = muteButton.getAttribute('aria-pressed') !== 'true';
  muteButton.setAttribute('aria-pressed', String(muted));
  room?.mute(muted);
});

element('leave', HTMLButtonElement).addEventListener('click', () => {
  room?.leave();
  end('You left.');
});

setInterval(() => void showLevels(), LEVEL_INTERVAL_MS);
