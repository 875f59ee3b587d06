import type { Answers } from './answers.ts';
import { yamlText } from './written-text.ts';

/** What an `enforcement.yaml` of `remit init --observe` says beside the answers. */
export interface Observe {
  /** Who answers for it. */
  readonly owner: string;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

const DAYS = 30;
const DAY_MS = 86_400_000;

/** `enforcement.yaml` of a fleet that begins: all calls to the tool server are observed for 30 days. */
export function enforcementFile({ trustDomain }: Answers, { owner, nowMs }: Observe): string {
  const until = new Date(nowMs + DAYS * DAY_MS).toISOString().slice(0, 10);
  const rest = `    servers: [tools]
    until: ${until}
    owner: ${yamlText(owner)}
    because: remit init --observe
`;
  return `# Calls that are not enforced yet: they pass, and the record says what Remit would have answered. Tokens of ended, revoked and stolen
# tasks are denied all the same. From the day of \`until\` on everything is enforced. \`remit help start/bring-it-in\` says how
# agents get out of here, one at a time.
observe:
  - id: agents
    agents: [${yamlText(`spiffe://${trustDomain}/*`)}]
${rest}
  # Calls without a SPIFFE ID.
  - id: unidentified
    unidentified: true
${rest}`;
}
