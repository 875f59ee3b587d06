/** MAESTRO, the threat model of the Cloud Security Alliance for agents. */
import { control, type Framework } from '../framework.ts';

/** MAESTRO has no ids: threats are named by their label and layer. @see CSA, Agentic AI Threat Modeling Framework: MAESTRO, 6 February 2025 */
export const maestro: Framework = {
  id: 'maestro',
  title: 'CSA MAESTRO',
  version: '6 February 2025',
  source: 'Cloud Security Alliance, Agentic AI Threat Modeling Framework: MAESTRO; it has labels and no ids',
  controls: [
    control('Agent Identity Attack (L7)', 'Agent Identity Attack, layer 7: Agent Ecosystem', {
      coverage: 'enforces',
      classes: '1 7',
      limit: 'identities that SPIRE attests; a workload that was taken over has its own',
      aliases: [{ id: 'M1', source: 'unverified: MAESTRO numbers no threat' }],
    }),
    control('Agent Impersonation (L7)', 'Agent Impersonation, layer 7: Agent Ecosystem', {
      coverage: 'enforces',
      classes: '1 7',
      limit: 'impersonation towards services behind Envoy',
    }),
    control('Agent Tool Misuse (L7)', 'Agent Tool Misuse, layer 7: Agent Ecosystem', {
      coverage: 'enforces',
      classes: '3 4 11',
      limit: 'tools that are called through Envoy',
    }),
    control('Compromised Agents (L7)', 'Compromised Agents, layer 7: Agent Ecosystem', {
      coverage: 'partial',
      classes: '5 7',
      limit: 'stops them and bounds what they can do; does not recognise them',
    }),
    control('Repudiation (L7)', 'Repudiation, layer 7: Agent Ecosystem', {
      coverage: 'evidences',
      classes: '3 8',
      limit: 'calls through Envoy; see the verdict for how far the record proves itself',
    }),
    control('Integration Risks (L7)', 'Integration Risks, layer 7: Agent Ecosystem', {
      coverage: 'partial',
      classes: '3',
      limit: 'which integrations were called',
    }),
    control('Agent Goal Manipulation (L7)', 'Agent Goal Manipulation, layer 7: Agent Ecosystem', {
      coverage: 'partial',
      classes: '2 4',
      limit: 'bounds the effect; the goal of a model is not seen',
    }),
    control(
      'Lateral Movement (L4 / Cross-Layer)',
      'Lateral Movement, layer 4: Deployment & Infrastructure, and across layers',
      {
        coverage: 'partial',
        classes: '2 4',
        limit: 'movement by calls through Envoy',
      },
    ),
    control('Privilege Escalation (Cross-Layer)', 'Privilege Escalation, across layers', {
      coverage: 'enforces',
      classes: '4 7',
      limit: 'escalation beyond a task; none inside a machine',
    }),
    control('Data Exfiltration (L2)', 'Data Exfiltration, layer 2: Data Operations', {
      coverage: 'partial',
      classes: '3 4',
      limit: 'which calls could have carried data out; contents are not inspected',
    }),
    control(
      'Data Leakage through Observability (L5)',
      'Data Leakage through Observability, layer 5: Evaluation & Observability',
      {
        coverage: 'partial',
        classes: '8',
        limit: 'records hold digests of tokens; which arguments they hold the catalog says',
      },
    ),
    control('Poisoning Observability Data (L5)', 'Poisoning Observability Data, layer 5: Evaluation & Observability', {
      coverage: 'evidences',
      classes: '8',
      limit: 'the ledger alone, from when a record was written',
    }),
    control('Security & Compliance (L6)', 'Threats to AI agents of layer 6: Security & Compliance', {
      coverage: 'none',
      limit: 'decisions are made by a deterministic engine, not by an AI agent',
    }),
  ],
};
