import type { CallShape, JsonKind } from '../../core/action/call-shape.ts';

/** A member of a body, or of the arguments of a tool: the names on the way to it, and its kind. */
export interface ShapeMember {
  readonly way: readonly string[];
  readonly kind: JsonKind;
}

/** The shape of a call whose record has none: an HTTP call. */
export const NO_SHAPE: CallShape = Object.freeze({ protocol: 'http', query: Object.freeze([]) });

/** The members of a shape, two levels deep. */
export const membersIn = ({ members = {} }: CallShape): readonly ShapeMember[] =>
  Object.entries(members).flatMap(([name, of]): readonly ShapeMember[] =>
    typeof of === 'string'
      ? [{ way: [name], kind: of }]
      : Object.entries(of).map(([below, kind]) => ({ way: [name, below], kind })),
  );
