// Tells a running engine and TURN server to leave; calls on them end.
import './build.mjs';

await import('../control/dist/stop.js');
