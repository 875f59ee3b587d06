/** ISO/IEC 42001, Annex A. */
import { control, type Framework } from '../framework.ts';

/** @see ISO/IEC 42001:2023, table A.1 */
export const iso42001: Framework = {
  id: 'iso-42001',
  title: 'ISO/IEC 42001, controls of Annex A',
  version: '2023',
  source: 'ISO/IEC 42001:2023, December 2023, table A.1',
  controls: [
    control('A.2.2', 'AI policy', {
      coverage: 'partial',
      classes: '6',
      limit: 'policies of calls by agents, as a part of what carries out an AI policy',
    }),
    control('A.3.2', 'AI roles and responsibilities', {
      coverage: 'partial',
      classes: '5 6',
      limit: 'shows who acted, not which role that person was given',
    }),
    control('A.3.3', 'Reporting of concerns', {
      coverage: 'none',
      limit: 'reports of concerns are not recorded',
    }),
    control('A.4.2', 'Resource documentation', {
      coverage: 'partial',
      classes: '9',
      limit: 'lists agents that asked for a task; models, data and tools beside the catalog are not listed',
    }),
    control('A.4.4', 'Tooling resources', {
      coverage: 'partial',
      classes: '3 6',
      limit: 'the catalog names tools that agents may call through Envoy',
    }),
    control('A.5.2', 'AI system impact assessment process', {
      coverage: 'none',
      limit: 'assessments are not recorded',
    }),
    control('A.6.2.4', 'AI system verification and validation', {
      coverage: 'none',
      limit: 'tests of policies are not in a ledger; models are not seen',
    }),
    control('A.6.2.5', 'AI system deployment', {
      coverage: 'partial',
      classes: '6',
      limit: 'shows when policies came into force, and by whom; not the deployment of an agent',
    }),
    control('A.6.2.6', 'AI system operation and monitoring', {
      coverage: 'evidences',
      classes: '3 4 7 10 11',
      limit: 'the operation as far as it is calls through Envoy',
    }),
    control('A.6.2.8', 'AI system recording of event logs', {
      coverage: 'evidences',
      classes: '2 3 4 5 8 11',
      limit: 'calls, tasks and tokens; what a model reads, infers and answers is not recorded',
    }),
    control('A.8.4', 'Communication of incidents', {
      coverage: 'partial',
      classes: '7 11',
      limit: 'shows what an incident would be told from; whom it was told to is not recorded',
    }),
    control('A.9.2', 'Processes for responsible use of AI systems', {
      coverage: 'partial',
      classes: '2 3 4 6',
      limit: 'shows that use was bound to declared intents and policies; the processes themselves are documents',
    }),
    control('A.9.3', 'Objectives for responsible use of AI system', {
      coverage: 'none',
      limit: 'objectives are not recorded',
    }),
    control('A.9.4', 'Intended use of the AI system', {
      coverage: 'enforces',
      classes: '2 3 4 5',
      limit: 'the use that an agent declared and policies permitted, for calls through Envoy',
    }),
    control('A.10.2', 'Allocating responsibilities', {
      coverage: 'none',
      limit: 'responsibilities of partners are not recorded',
    }),
    control('A.10.3', 'Suppliers', {
      coverage: 'partial',
      classes: '3 4 11',
      limit: 'shows calls of agents to services of suppliers alone',
    }),
  ],
};
