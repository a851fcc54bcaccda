// Builds what is missing, then runs control with this script's arguments.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import './build.mjs';
import { become } from './program.mjs';

const main = join(dirname(fileURLToPath(import.meta.url)), '../control/dist/main.js');
become(process.execPath, [main, ...process.argv.slice(2)]);
