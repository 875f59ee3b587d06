import { textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { StreamedPath } from '../remit/remit-facts.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import type { HttpManager, Route } from './http-manager.ts';
import { ofAskings } from './remit-filter.ts';
import { durationMs } from './values.ts';

/** Shorter limits end ordinary tools and sessions. */
const MIN_MS = 300_000;
const ENVOY_DEFAULT = '15s';

/** No route ends the streams of MCP and A2A while a tool runs. `null` if those paths are not known. */
export function shortStreams(facts: EnvoyFacts, paths: readonly StreamedPath[]): readonly Finding[] | null {
  if (paths.length === 0) return null;
  return ofAskings(facts, ({ manager }) =>
    paths.flatMap((path) =>
      path.hosts.flatMap((host) => {
        const route = routeFor(manager, host, path.path);
        return route === null ? [] : limitsOf(manager, route, path.path);
      }),
    ),
  );
}

/** The route that Envoy takes for a path without regard to headers; `null` if it has none, or a match that is not understood. */
function routeFor({ routes }: HttpManager, host: string, path: string): Route | null {
  const domains = new Set(routes.flatMap((route) => route.domains));
  const domain = [host, ...suffixesOf(host), '*'].find((one) => domains.has(one) || domains.has(`${one}:*`));
  const candidates = routes.filter(
    (route) => domain !== undefined && route.domains.some((one) => one === domain || one === `${domain}:*`),
  );
  for (const route of candidates) {
    const matches = isMatch(route.match, path);
    if (matches !== false) return matches === true ? route : null;
  }
  return null;
}

/** `*.b.c` and `*.c` for `a.b.c`. */
const suffixesOf = (host: string): readonly string[] =>
  host
    .split('.')
    .slice(1)
    .map((_, index, labels) => `*.${labels.slice(index).join('.')}`);

/** `null` if it depends on more than the path. */
function isMatch(match: unknown, path: string): boolean | null {
  const [exact, prefix, separated] = [
    textAt(match, 'path'),
    textAt(match, 'prefix'),
    textAt(match, 'path_separated_prefix'),
  ];
  if (exact !== '') return exact === path;
  if (separated !== '') return path === separated || path.startsWith(`${separated}/`);
  return prefix === '' ? null : path.startsWith(prefix);
}

function limitsOf(manager: HttpManager, { where, action, directStatus }: Route, path: string): readonly Finding[] {
  if (directStatus !== null) return [];
  const timeout = textAt(action, 'timeout') || ENVOY_DEFAULT;
  const idle = textAt(action, 'idle_timeout') || textAt(manager.fields, 'stream_idle_timeout');
  const longest = textAt(action, 'max_stream_duration', 'max_stream_duration');
  const found = [
    { limit: timeout, what: 'answers end' },
    { limit: idle, what: 'streams end after silence' },
    { limit: longest, what: 'streams end' },
  ].filter(({ limit }) => isShort(limit));
  return found.map(({ limit, what }) => ({
    code: 'envoy.short-streams',
    where: `${manager.where}/route/${where}`,
    message: `\`${path}\` is a path of MCP or A2A, and its ${what} after ${limit}: a tool that takes longer fails, and a session ends`,
    fix: 'give its path a route with `timeout: 0s`, `idle_timeout: 900s` and `max_stream_duration: { max_stream_duration: 3600s }`',
  }));
}

/** Absent and 0 are no limit. */
function isShort(limit: string): boolean {
  const ms = durationMs(limit) ?? 0;
  return ms > 0 && ms < MIN_MS;
}
