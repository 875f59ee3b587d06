import type { Cedar } from '../../../core/policy/cedar.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { member } from '../../../core/policy/answers/scope.ts';
import { recordExpression } from './expression.ts';
import type { Path } from './expression.ts';

/** The context of an action, by the schema. */
export interface ContextShape {
  /** The member names at a path; `null` if it is not a record. */
  readonly namesAt: (path: Path) => ReadonlySet<string> | null;
}

/** Returns the context shape of an action, from a schema text; `null` for an unknown action. */
export function contextShapes(schema: string, cedar: Cedar): (action: string) => ContextShape | null {
  let read: ReturnType<typeof declarationsOf> | null = null;
  return (action) => {
    // Lazy: many sets test no optional name, and parsing a large schema is slow.
    read ??= declarationsOf(schema, cedar);
    const { actions, resolved } = read;
    const context = member(member(member(actions, action), 'appliesTo'), 'context');
    if (context === undefined) return null;
    const typeAt = (path: Path): unknown =>
      path.reduce<unknown>((type, name) => memberOf(resolved(type), name), context);
    return { namesAt: (path) => namesOf(resolved(typeAt(path))) };
  };
}

function declarationsOf(schema: string, cedar: Cedar) {
  const answer = cedar.schemaToJsonWithResolvedTypes(schema);
  const { actions, commonTypes } = recordExpression(answer.type === 'failure' ? {} : answer.json[NAMESPACE]);
  const resolved = (type: unknown): unknown => {
    const { type: name } = recordExpression(type);
    return typeof name === 'string' ? (member(commonTypes, name.replace(`${NAMESPACE}::`, '')) ?? type) : type;
  };
  return { actions, resolved };
}

const memberOf = (type: unknown, name: string): unknown => member(member(type, 'attributes'), name);

function namesOf(type: unknown): ReadonlySet<string> | null {
  const { attributes } = recordExpression(type);
  return attributes === undefined ? null : new Set(Object.keys(recordExpression(attributes)));
}
