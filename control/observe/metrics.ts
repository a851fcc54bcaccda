/** What operators measure, in Prometheus' text format. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Who may read the figures: who has the account's API token, everyone who reaches the port, nobody. */
export type MetricsAccess = 'token' | 'all' | 'off';

export interface MetricsOptions {
  readonly access: MetricsAccess;
  readonly sessions: () => number;
  /** Whether the file of apps and keys can be used. */
  readonly storeReadable: () => boolean;
  /** The engine's counts by name since its start; rejects while no engine is there. */
  readonly engineCounters: () => Promise<ReadonlyMap<string, bigint>>;
}

export interface HttpRequest {
  readonly method: string;
  /** The pattern, never the path: IDs would make a series each. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

export interface Metrics {
  readonly access: MetricsAccess;
  readonly contentType: string;
  onRequest(request: HttpRequest): void;
  text(): Promise<string>;
}

/** Engine counts that go down as well. */
const ENGINE_GAUGES = new Set(['sessions']);

export function openMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  // Node's own, event loop lag among them (nodejs_eventloop_lag_seconds and its percentiles).
  collectDefaultMetrics({ register: registry });
  const sessions = new Gauge({
    name: 'switchyard_sessions',
    help: 'Sessions that control knows.',
    registers: [registry],
  });
  const engineUp = new Gauge({
    name: 'switchyard_engine_up',
    help: 'Whether the engine answers.',
    registers: [registry],
  });
  const storeReadable = new Gauge({
    name: 'switchyard_store_readable',
    help: 'Whether the file of apps and TURN keys can be used; 0 while it is damaged.',
    registers: [registry],
  });
  const requests = new Histogram({
    name: 'switchyard_http_request_duration_seconds',
    help: 'HTTP requests by method, route and status; a pull waits for first media.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  });
  const engine = new Map<string, Counter | Gauge>();

  function engineMetric(name: string): Counter | Gauge {
    const known = engine.get(name);
    if (known !== undefined) return known;
    const configuration = {
      name: `switchyard_engine_${name}`,
      help: `The engine's ${name.replaceAll('_', ' ')}.`,
      registers: [registry],
    };
    const made = ENGINE_GAUGES.has(name) ? new Gauge(configuration) : new Counter(configuration);
    engine.set(name, made);
    return made;
  }

  async function readEngine(): Promise<void> {
    try {
      for (const [name, value] of await options.engineCounters()) {
        const metric = engineMetric(name);
        metric.reset();
        metric.inc(Number(value));
      }
      engineUp.set(1);
    } catch {
      engineUp.set(0);
    }
  }

  return {
    access: options.access,
    contentType: registry.contentType,
    onRequest({ method, route, status, seconds }) {
      requests.observe({ method, route, status }, seconds);
    },
    async text() {
      sessions.set(options.sessions());
      storeReadable.set(options.storeReadable() ? 1 : 0);
      await readEngine();
      return registry.metrics();
    },
  };
}
