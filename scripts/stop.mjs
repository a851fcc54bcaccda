// Tells a running engine to leave; calls on it end.
import './build.mjs';

await import('../control/dist/engine-link/stop.js');
