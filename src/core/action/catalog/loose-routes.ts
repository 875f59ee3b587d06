import type { PathTemplate } from './template.ts';

/** A route that another can be confused with. */
export interface Sibling<Target> {
  readonly target: Target;
  /** The sibling's text at each parameter of the template, by parameter name. */
  readonly literals: ReadonlyMap<string, string>;
}

/**
 * The routes of one server as routers less exact than Remit read them: ignoring method, letter case, text after a dot or colon
 * in a segment (`export.json`, `export:run`) and a trailing slash.
 */
export class LooseRoutes<Target> {
  readonly #root: Node<Target> = emptyNode();

  add({ segments }: PathTemplate, target: Target): void {
    let node = this.#root;
    for (const segment of withoutEnd(segments, (last) => 'literal' in last && last.literal === '')) {
      if ('literal' in segment) {
        const key = looseSegment(segment.literal);
        const next = node.literals.get(key) ?? { literal: segment.literal, node: emptyNode<Target>() };
        node.literals.set(key, next);
        node = next.node;
      } else {
        node.parameter ??= emptyNode<Target>();
        node = node.parameter;
      }
    }
    node.targets.push(target);
  }

  /**
   * The route that a less exact router would match instead: a route with text at a place where the template has a parameter. `null` if
   * there is none. Visits each node of the tree at most once.
   */
  takenFor(template: PathTemplate, segments: readonly string[]): Target | null {
    const loose = withoutEnd(segments, (last) => last === '').map(looseSegment);
    const walk = (node: Node<Target>, index: number, isOther: boolean): Target | null => {
      const segment = loose[index];
      if (segment === undefined) return (isOther ? node.targets[0] : undefined) ?? null;
      const isParameter = isParameterAt(template, index);
      const literal = node.literals.get(segment);
      const exact = literal === undefined ? null : walk(literal.node, index + 1, isOther || isParameter);
      if (exact !== null || !isParameter || node.parameter === null) return exact;
      return walk(node.parameter, index + 1, isOther);
    };
    return walk(this.#root, 0, false);
  }

  /** The first route with text where the template has a parameter for which `isRisk` holds. */
  siblingOf(template: PathTemplate, isRisk: (sibling: Sibling<Target>) => boolean): Sibling<Target> | null {
    const segments = withoutEnd(template.segments, (last) => 'literal' in last && last.literal === '');
    const walk = (node: Node<Target>, index: number, literals: Sibling<Target>['literals']): Sibling<Target> | null => {
      const segment = segments[index];
      if (segment === undefined) {
        const found = literals.size === 0 ? [] : node.targets.map((target) => ({ target, literals }));
        return found.find(isRisk) ?? null;
      }
      if ('literal' in segment) {
        const next = node.literals.get(looseSegment(segment.literal));
        return next === undefined ? null : walk(next.node, index + 1, literals);
      }
      for (const next of node.literals.values()) {
        const found = walk(next.node, index + 1, new Map([...literals, [segment.parameter, next.literal]]));
        if (found !== null) return found;
      }
      return node.parameter === null ? null : walk(node.parameter, index + 1, literals);
    };
    return walk(this.#root, 0, new Map());
  }
}

interface Node<Target> {
  readonly literals: Map<string, { readonly literal: string; readonly node: Node<Target> }>;
  parameter: Node<Target> | null;
  readonly targets: Target[];
}

const emptyNode = <Target>(): Node<Target> => ({ literals: new Map(), parameter: null, targets: [] });

const isParameterAt = ({ segments }: PathTemplate, index: number): boolean => {
  const segment = segments[index];
  return segment !== undefined && 'parameter' in segment;
};

function withoutEnd<Segment>(segments: readonly Segment[], isEnd: (last: Segment) => boolean): readonly Segment[] {
  const last = segments.at(-1);
  return last !== undefined && isEnd(last) ? segments.slice(0, -1) : segments;
}

/** Normalises a segment as the least exact router does. */
export const looseSegment = (segment: string): string => {
  const plain = segment.normalize('NFKC').trim().toUpperCase().toLowerCase();
  return /^.[^.:]*/su.exec(plain)?.[0] ?? '';
};
