/** The OWASP Top 10 for agentic applications, 2026. */
import { control, type Framework } from '../framework.ts';

/** @see OWASP Top 10 for Agentic Applications 2026, 9 December 2025 */
export const owaspAsi2026: Framework = {
  id: 'owasp-asi-2026',
  title: 'OWASP Top 10 for Agentic Applications',
  version: '2026',
  source: 'OWASP GenAI Security Project, 9 December 2025',
  controls: [
    control('ASI01', 'Agent Goal Hijack', {
      coverage: 'partial',
      classes: '2 3 4',
      limit: 'bounds what a hijacked agent can do; does not see that its goal was changed',
    }),
    control('ASI02', 'Tool Misuse & Exploitation', {
      coverage: 'enforces',
      classes: '3 4 5 11',
      limit: 'tools that are called through Envoy and named in the catalog',
    }),
    control('ASI03', 'Identity & Privilege Abuse', {
      coverage: 'enforces',
      classes: '1 2 3 5 7',
      limit: 'privileges of tasks; standing privileges elsewhere are not known here',
      aliases: [{ id: 'AGENT-04', source: 'unverified: no publication of OWASP was found that uses this id' }],
    }),
    control('ASI04', 'Agentic Supply Chain Vulnerabilities', {
      coverage: 'partial',
      classes: '5 6',
      limit: 'a kill switch alone; components are not inspected',
    }),
    control('ASI05', 'Unexpected Code Execution (RCE)', {
      coverage: 'none',
      limit: 'code that an agent runs is not seen; what it calls through Envoy is',
    }),
    control('ASI06', 'Memory & Context Poisoning', {
      coverage: 'none',
      limit: 'memory and context of a model are not seen',
    }),
    control('ASI07', 'Insecure Inter-Agent Communication', {
      coverage: 'enforces',
      classes: '1 4 7',
      limit: 'communication through Envoy',
    }),
    control('ASI08', 'Cascading Failures', {
      coverage: 'partial',
      classes: '3 4 5 8',
      limit: 'budgets and short lives bound a cascade; it is not recognised as one',
    }),
    control('ASI09', 'Human-Agent Trust Exploitation', {
      coverage: 'partial',
      classes: '8',
      limit: 'an immutable record alone; what a person was made to believe is not seen',
    }),
    control('ASI10', 'Rogue Agents', {
      coverage: 'partial',
      classes: '3 5 7 8 11',
      limit: 'revocation and record; an agent that keeps within its task is not told apart',
    }),
  ],
};
