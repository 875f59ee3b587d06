import { LooseRoutes } from './loose-routes.ts';
import type { ParameterType } from './parameter-type.ts';
import { Routes } from './routes.ts';
import type { PathTemplate } from './template.ts';

/** A route target with its name in findings. */
export interface Placement<Target> {
  readonly method: string;
  readonly template: PathTemplate;
  readonly target: Target;
  readonly shown: string;
}

/** The routes of one server: what a call matches, and what a less exact router could match instead. */
export class RouteTable<Target> {
  readonly #routes = new Routes<Placement<Target>>();
  readonly #loose: LooseRoutes<Placement<Target>> | null;

  /** @param isExact whether the server compares paths as exactly as Remit does */
  constructor(isExact: boolean) {
    this.#loose = isExact ? null : new LooseRoutes();
  }

  /** Adds a route, or returns the route it collides with. */
  add(placement: Placement<Target>): { readonly collidesWith: Placement<Target> } | null {
    const collision = this.#routes.add(placement.method, placement.template, placement);
    if (collision === null) this.#loose?.add(placement.template, placement);
    return collision;
  }

  /** The route of a call; with the name of the other route if a parameter would match a lookalike of that route's text. */
  find(
    method: string,
    segments: readonly string[],
  ): { readonly target: Target; readonly takenFor: string | null } | undefined {
    const found = this.#routes.find(method, segments);
    if (found === undefined) return undefined;
    const { target, template } = found;
    const other = template.parameters.length === 0 ? null : this.#loose?.takenFor(template, segments);
    return { target, takenFor: other?.shown ?? null };
  }

  /** A parameter of a route that can match another route's text in another spelling or with another method. */
  lookalikeOf(
    method: string,
    template: PathTemplate,
  ): { readonly parameter: string; readonly literal: string; readonly other: string } | null {
    const types = new Map(
      template.segments.flatMap((each) => ('literal' in each ? [] : [[each.parameter, each.type]])),
    );
    const sibling = this.#loose?.siblingOf(template, ({ target, literals }) => {
      const places = Array.from(literals, ([name, literal]) => ({ literal, type: types.get(name) }));
      // The exact text matches the sibling, if that has the method.
      return places.every(isTaken) && (target.method !== method || places.some(isSpelling));
    });
    const [first] = sibling?.literals ?? [];
    if (sibling === null || sibling === undefined || first === undefined) return null;
    return { parameter: first[0], literal: first[1], other: sibling.target.shown };
  }
}

interface LiteralAtParameter {
  readonly literal: string;
  readonly type: ParameterType | undefined;
}

/** Whether a type accepts a text in another case, with an extension or with a verb. */
export const isSpelling = ({ type, literal }: LiteralAtParameter): boolean =>
  type !== undefined &&
  (type.acceptsOtherCase(literal) || type.accepts(`${literal}.json`) || type.accepts(`${literal}:run`));

/** Whether a type accepts a text as it is or in another spelling. */
export const isTaken = (place: LiteralAtParameter): boolean =>
  isSpelling(place) || place.type?.accepts(place.literal) === true;
