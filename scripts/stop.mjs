// Ends a running server, or an engine and a TURN server that were left running; calls on them end.
import { existsSync } from 'node:fs';

// Nothing is built for it: what runs was built when it was started.
const program = new URL('../control/dist/stop.js', import.meta.url);
if (existsSync(program)) await import(program.href);
else console.log('Nothing has been started from here.');
