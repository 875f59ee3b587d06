import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import type { PolicyForms } from '../../../core/policy/loading/policy-json.ts';
import type { PolicyTemplate } from '../../../core/policy/loading/policy-template.ts';
import type { SourceFile } from '../../../core/policy/loading/source.ts';
import { idsOfType } from '../../policy/lint/named-entities.ts';

/** What names agents in a policy set. */
interface NamingSet {
  /** Linked policies are among them, with the values of their links. */
  readonly policies: readonly Pick<PolicyEntry, 'text'>[];
  readonly templates: readonly Pick<PolicyTemplate, 'json'>[];
  readonly entities: readonly Pick<SourceFile, 'text'>[];
}

/**
 * The SPIFFE IDs of the agents that a policy set names: in policies, templates and entities. Policies are read as Cedar reads them, so an escape
 * (`\u{73}`) or a comment hides none.
 */
export function namedAgents(
  { entities, policies, templates }: NamingSet,
  cedar: Pick<PolicyForms, 'policyToJson'>,
): readonly string[] {
  const forms = policies.map(({ text }) => {
    const answer = cedar.policyToJson(text);
    return answer.type === 'success' ? answer.json : null;
  });
  const naming = [...forms, ...templates.map(({ json }) => json), ...entities.map(({ text }) => parsed(text))];
  return [...new Set(naming.flatMap((one) => idsOfType(one, 'Remit::Agent')))];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
