/** `--profile`: what perf took of each measurement, as rows of figures, and a flame graph for each server. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { stacksOf, work } from './chains.mjs';
import { collapse, draw, prepare } from './flame.mjs';
import { profile } from './profile.mjs';

export function profiler() {
  prepare();
  const directory = mkdtempSync(join(tmpdir(), 'switchyard-profile-'));
  const files = { profile: join(directory, 'samples'), calls: join(directory, 'calls') };
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const pictures = new Map();
  return {
    /** Where the load has to put its samples. */
    files,
    /** The rows of the samples that a load has just taken; `rows` are those that it printed. */
    take(about, rows) {
      const measured = rows.findLast((row) => row.cpuUsPerPacket !== undefined);
      const text = collapse(files.calls);
      const title = pictureTitle(about);
      const picture = pictures.get(title) ?? { texts: [], measured: [] };
      pictures.set(title, picture);
      picture.texts.push(text);
      picture.measured.push(measured);
      return [...work(stacksOf([text]), measured.cpuUsPerPacket), ...profile(files.profile)];
    },
    /** Of all rounds of each server. */
    draw(path) {
      for (const [index, [title, { texts, measured }]] of [...pictures].entries()) {
        const file = pictureFile(path, index);
        draw(stacksOf(texts), title, pictureSubtitle(measured), file);
        console.log(`Drawn in ${relative(process.cwd(), file)}`);
      }
    },
  };
}

/** An engine's name, without the directory that it happens to lie in, and what else tells it from the others. */
export function pictureTitle({ server, ...about }) {
  const variant = Object.entries(about).filter(([name]) => name !== 'round');
  return [server.replace(/^[^\s,]*\//, ''), ...variant.map((entry) => entry.join(' '))].join(', ');
}

/** The first one's file is as given, the others' are numbered. */
export const pictureFile = (path, index) =>
  index === 0 ? path : path.replace(/(\.svg)?$/, `-${index + 1}$1`);

/** What was measured, by rounds. */
export function pictureSubtitle(measured) {
  const [{ publishers, subscribersEach, packetsPerSecond }] = measured;
  const cost = measured.map(({ cpuUsPerPacket }) => cpuUsPerPacket.toFixed(2)).join(', ');
  return `${publishers} x ${subscribersEach}, ${Math.round(packetsPerSecond / 100) / 10} thousand packets a second, ${cost} us each`;
}
