import { looseSegment } from './loose-routes.ts';
import { isSpelling, isTaken } from './route-table.ts';
import type { PathTemplate } from './template.ts';

/** What a table needs to know of a server. */
export interface ServerAtPath {
  readonly id: string;
  /** Whether its router distinguishes letter case, and text after a dot or colon in a segment. */
  readonly exactPaths: boolean;
}

/** The place of a server: a host and the literal segments its paths begin with; none for all paths. */
export interface ServerPlace {
  readonly host: string;
  readonly path: readonly string[];
}

/** The server that a host and a path match. */
export type ServerMatch<Server> =
  | { readonly kind: 'server'; readonly server: Server }
  | { readonly kind: 'unknown-host' }
  | { readonly kind: 'unknown-path' }
  /** A less exact router would send the path to the server `of`. */
  | { readonly kind: 'lookalike'; readonly server: Server; readonly of: Server };

/**
 * The servers of a catalog by host and path prefix; the longest prefix wins. Segments are compared decoded, whole and exactly:
 * `/crm` matches neither `/crmx` nor `/CRM`.
 */
export class ServerTable<Server extends ServerAtPath> {
  readonly #hosts = new Map<string, Node<Server>>();
  readonly #loose = new Map<string, Node<Server>>();

  /** Adds a server, or returns the server that has the place: the same path, ignoring case unless both are exact. */
  add(place: ServerPlace, server: Server): { readonly other: Server; readonly path: readonly string[] } | null {
    const loose = nodeAt(this.#loose, { host: place.host, path: place.path.map(looseSegment) });
    const taken = loose.claims.find((claim) => isSamePlace(claim, { path: place.path, server }));
    if (taken !== undefined) return { other: taken.server, path: taken.path };
    const claim = { path: place.path, server };
    loose.claims.push(claim);
    nodeAt(this.#hosts, place).claims.push(claim);
    return null;
  }

  /**
   * The server of a call. A path that only a less exact router would send to another server, deeper in the tree, is a
   * `lookalike`, except at a server with exact paths.
   *
   * @param host lower case, without port
   * @param segments decoded
   */
  find(host: string, segments: readonly string[]): ServerMatch<Server> {
    const root = this.#hosts.get(host);
    if (root === undefined) return { kind: 'unknown-host' };
    const exact = claimsAlong(root, segments).at(-1);
    if (exact === undefined) return { kind: 'unknown-path' };
    const { server } = exact;
    const of = server.exactPaths ? undefined : this.#looselyBelow(host, segments, exact);
    return of === undefined ? { kind: 'server', server } : { kind: 'lookalike', server, of };
  }

  /** The server of all paths of a template, by its literal segments. */
  findTemplate(host: string, template: PathTemplate): ServerMatch<Server> {
    return this.find(host, literalStart(template));
  }

  /** Another server's path that a parameter of a template can match in another spelling; `null` if there is none. */
  lookalikeOf(
    host: string,
    template: PathTemplate,
    server: Server,
  ): { readonly of: Server; readonly parameter: string; readonly literal: string } | null {
    const root = server.exactPaths ? undefined : this.#hosts.get(host);
    if (root === undefined) return null;
    for (const { path, server: of } of allClaims(root)) {
      const found = of === server ? null : takenIn(template, path);
      if (found !== null) return { of, ...found };
    }
    return null;
  }

  #looselyBelow(host: string, segments: readonly string[], exact: Claim<Server>): Server | undefined {
    const root = this.#loose.get(host);
    if (root === undefined || root.literals.size === 0) return undefined;
    const below = claimsAlong(root, segments, looseSegment).filter(({ path }) => path.length > exact.path.length);
    return below.find(({ server }) => server !== exact.server)?.server;
  }
}

interface Claim<Server> {
  readonly path: readonly string[];
  readonly server: Server;
}

interface Node<Server> {
  readonly literals: Map<string, Node<Server>>;
  readonly claims: Claim<Server>[];
}

const emptyNode = <Server>(): Node<Server> => ({ literals: new Map(), claims: [] });

function nodeAt<Server>(hosts: Map<string, Node<Server>>, { host, path }: ServerPlace): Node<Server> {
  let node = hosts.get(host) ?? emptyNode<Server>();
  hosts.set(host, node);
  for (const segment of path) {
    const next = node.literals.get(segment) ?? emptyNode<Server>();
    node.literals.set(segment, next);
    node = next;
  }
  return node;
}

/** The claims along a path, longest prefix last. */
function claimsAlong<Server>(
  root: Node<Server>,
  segments: readonly string[],
  read: (segment: string) => string = (segment) => segment,
): readonly Claim<Server>[] {
  const claims = [...root.claims];
  let node: Node<Server> | undefined = root;
  for (const segment of segments) {
    node = node.literals.get(read(segment));
    if (node === undefined) break;
    claims.push(...node.claims);
  }
  return claims;
}

function* allClaims<Server>(node: Node<Server>): Generator<Claim<Server>> {
  yield* node.claims;
  for (const next of node.literals.values()) yield* allClaims(next);
}

function isSamePlace<Server extends ServerAtPath>(one: Claim<Server>, other: Claim<Server>): boolean {
  const [first, second] = [one.path.join('/'), other.path.join('/')];
  if (first === second) return true;
  const areExact = one.server.exactPaths && other.server.exactPaths;
  return one.server !== other.server && !areExact && first.toLowerCase() === second.toLowerCase();
}

function literalStart({ segments }: PathTemplate): readonly string[] {
  const literals: string[] = [];
  for (const segment of segments) {
    if (!('literal' in segment)) break;
    literals.push(segment.literal);
  }
  return literals;
}

/** The first parameter of a template that can match a path's text at its position, unless the whole path is equal. */
function takenIn(
  { segments }: PathTemplate,
  path: readonly string[],
): { readonly parameter: string; readonly literal: string } | null {
  if (path.length > segments.length) return null;
  const places = path.flatMap((literal, index) => {
    const segment = segments[index];
    return segment === undefined ? [] : [{ literal, segment }];
  });
  const isReadAs = places.every(({ literal, segment }) =>
    'literal' in segment
      ? looseSegment(segment.literal) === looseSegment(literal)
      : isTaken({ type: segment.type, literal }),
  );
  const isOther = places.some(({ literal, segment }) =>
    'literal' in segment ? segment.literal !== literal : isSpelling({ type: segment.type, literal }),
  );
  const [first] = places.flatMap(({ literal, segment }) =>
    'literal' in segment ? [] : [{ parameter: segment.parameter, literal }],
  );
  return isReadAs && isOther ? (first ?? null) : null;
}
