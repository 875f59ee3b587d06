import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { type ForwardOption, upstreamUrlFrom } from './forward-option.ts';

/** An upstream of a run: a `--forward` with its URL and resource settled. */
export interface ForwardTarget extends Omit<ForwardOption, 'url' | 'resource'> {
  /** `https://host[:port]`; `http:` for a service that the pod's own sidecar encrypts to. */
  readonly origin: string;
  /** Path of its URL without a trailing slash; `` for none. */
  readonly base: string;
  /** The resource that its token is for. */
  readonly resource: string;
}

/** The host of the URL, with the port that is written. */
export const authorityOf = ({ origin }: Pick<ForwardTarget, 'origin'>): string => origin.replace(/^https?:\/\//, '');

/** The path of a call at the upstream. @param rest what the client wrote after the local URL */
export const upstreamPath = ({ base }: Pick<ForwardTarget, 'base'>, rest: string): string =>
  `${base}${rest}`.replace(/^(?=$|\?)/, '/');

/**
 * Resolves each `--forward` to a resource of the intent: the resource it names, else the longest resource that is a prefix of
 * its URL, else the only resource. Without a URL, the upstream is the resource whose host begins with the name, else the only resource.
 *
 * @param resources of the intent, at least one
 */
export function forwardTargetsFrom(
  options: readonly ForwardOption[],
  resources: readonly string[],
): readonly ForwardTarget[] | Problem {
  const targets: ForwardTarget[] = [];
  for (const { url, resource: named, ...option } of options) {
    const resource = named ?? resourceFor({ name: option.name, url }, resources);
    if (resource === null) {
      return {
        problem: `--forward \`${option.name}\` fits none or several of the intent's resources: choose one with \`,resource=\`: ${resources.join(', ')}`,
      };
    }
    if (!resources.includes(resource)) {
      return {
        problem: `--forward \`${option.name}\`: the intent does not name the resource \`${resource}\`; it names ${resources.join(', ')}`,
      };
    }
    const upstream = url ?? upstreamUrlFrom(resource);
    if (isProblem(upstream)) {
      return {
        problem: `--forward \`${option.name}\` needs a URL: its resource \`${resource}\` cannot be connected to`,
      };
    }
    const { origin, pathname } = new URL(upstream);
    targets.push({ ...option, resource, origin, base: pathname === '/' ? '' : pathname });
  }
  return targets;
}

function resourceFor({ name, url }: Pick<ForwardOption, 'name' | 'url'>, resources: readonly string[]): string | null {
  const [only = null, ...others] = resources;
  const fitting = resources
    .filter((resource) => (url === null ? isHostNamed(resource, name) : isBelow(url, resource)))
    .toSorted((one, other) => other.length - one.length);
  const [best = null, ...rest] = fitting;
  if (best !== null && (url !== null || rest.length === 0)) return best;
  return others.length === 0 ? only : null;
}

function isHostNamed(resource: string, name: string): boolean {
  const { hostname } = URL.canParse(resource) ? new URL(resource) : { hostname: '' };
  return hostname.split('.')[0] === name.toLowerCase();
}

function isBelow(url: string, resource: string): boolean {
  const place = upstreamUrlFrom(resource);
  // A resource is named by `https:` also if a mesh carries its calls.
  const secure = url.replace(/^http:/, 'https:');
  return !isProblem(place) && (secure === place || secure.startsWith(`${place}/`));
}
