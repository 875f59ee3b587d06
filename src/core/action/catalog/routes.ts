import type { PathTemplate, TemplateSegment } from './template.ts';

/** The routes of one server: by method, then as a tree of path segments. */
export class Routes<Target> {
  readonly #roots = new Map<string, Node<Target>>();

  /**
   * Adds a route, or returns the route it collides with: equal paths with other parameter names, or overlapping paths of which
   * neither is more specific in every segment. A literal beside a parameter is not a collision: the literal wins.
   */
  add(method: string, template: PathTemplate, target: Target): { readonly collidesWith: Target } | null {
    const root = this.#roots.get(method) ?? emptyNode<Target>();
    const collision = collisionIn(root, template.segments, 'same');
    if (collision !== null) return { collidesWith: collision.target };
    this.#roots.set(method, root);
    insert(root, template.segments, target);
    return null;
  }

  /**
   * The route of a call: exact method, exact literals, a parameter for any single non-empty segment. The most specific route wins.
   * Visits each node at most once.
   */
  find(method: string, segments: readonly string[]): Target | undefined {
    const root = this.#roots.get(method);
    return root === undefined ? undefined : found(root, segments, 0)?.target;
  }
}

interface Node<Target> {
  readonly literals: Map<string, Node<Target>>;
  parameter: Node<Target> | null;
  end: { readonly target: Target } | null;
}

const emptyNode = <Target>(): Node<Target> => ({ literals: new Map(), parameter: null, end: null });

function insert<Target>(root: Node<Target>, segments: readonly TemplateSegment[], target: Target): void {
  let node = root;
  for (const segment of segments) {
    if ('literal' in segment) {
      const next = node.literals.get(segment.literal) ?? emptyNode<Target>();
      node.literals.set(segment.literal, next);
      node = next;
    } else {
      node.parameter ??= emptyNode<Target>();
      node = node.parameter;
    }
  }
  node.end = { target };
}

function found<Target>(
  node: Node<Target>,
  segments: readonly string[],
  index: number,
): { readonly target: Target } | null {
  const segment = segments[index];
  if (segment === undefined) return node.end;
  const literal = node.literals.get(segment);
  const exact = literal === undefined ? null : found(literal, segments, index + 1);
  if (exact !== null) return exact;
  return node.parameter === null || segment === '' ? null : found(node.parameter, segments, index + 1);
}

/** How a template compares with the branch of the tree so far. */
type Specificity = 'same' | 'more' | 'less' | 'crossing';

/** The first route that overlaps with the template while neither is more specific throughout. */
function collisionIn<Target>(
  node: Node<Target>,
  segments: readonly TemplateSegment[],
  so: Specificity,
): { readonly target: Target } | null {
  const [segment, ...rest] = segments;
  if (segment === undefined) return so === 'same' || so === 'crossing' ? node.end : null;
  if ('literal' in segment) {
    const literal = node.literals.get(segment.literal);
    const exact = literal === undefined ? null : collisionIn(literal, rest, so);
    if (exact !== null || node.parameter === null || segment.literal === '') return exact;
    return collisionIn(node.parameter, rest, both(so, 'more'));
  }
  const same = node.parameter === null ? null : collisionIn(node.parameter, rest, so);
  if (same !== null) return same;
  for (const [literal, next] of node.literals) {
    const collision = literal === '' ? null : collisionIn(next, rest, both(so, 'less'));
    if (collision !== null) return collision;
  }
  return null;
}

const both = (so: Specificity, here: 'more' | 'less'): Specificity =>
  so === 'same' || so === here ? here : 'crossing';
