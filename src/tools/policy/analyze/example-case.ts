import type { EntityUid } from '../../../core/policy/entities.ts';
import type { RawQuestion } from '../cases/raw-question.ts';

/** A test in the format of `cedar run-tests`, which `remit policy test` reads from `*.cedartests.json`. */
export interface ExampleCase {
  readonly name: string;
  readonly request: {
    readonly principal: string;
    readonly action: string;
    readonly resource: string;
    readonly context: RawQuestion['context'];
  };
  readonly entities: RawQuestion['entities'];
  readonly decision: 'allow' | 'deny';
  readonly reason: readonly string[];
  readonly num_errors: number;
}

/** An example as a test, which passes if the request is decided so. */
export const exampleCase = (
  { principal, action, resource, context, entities }: RawQuestion,
  { name, decision }: { readonly name: string; readonly decision: 'allow' | 'deny' },
): ExampleCase => ({
  name,
  request: { principal: uidText(principal), action: uidText(action), resource: uidText(resource), context },
  entities,
  decision,
  reason: [],
  num_errors: 0,
});

const uidText = ({ type, id }: EntityUid): string => `${type}::${JSON.stringify(id)}`;
