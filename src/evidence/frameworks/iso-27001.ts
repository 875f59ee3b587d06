/** ISO/IEC 27001, Annex A. */
import { control, type Framework } from '../framework.ts';

/**
 * The titles were compared with a public copy of the table: the library `iso27001-2022` of `intuitem/ciso-assistant-community` (09c9b01f), which
 * writes `A.5.3` for 5.3. All are equal.
 *
 * @see ISO/IEC 27001:2022, table A.1
 */
export const iso27001: Framework = {
  id: 'iso-27001',
  title: 'ISO/IEC 27001, controls of Annex A',
  version: '2022',
  source: 'ISO/IEC 27001:2022, October 2022, table A.1',
  controls: [
    control('5.3', 'Segregation of duties', {
      coverage: 'partial',
      classes: '5 6',
      limit: 'shows who acted; which duties conflict is not known here',
    }),
    control('5.9', 'Inventory of information and other associated assets', {
      coverage: 'partial',
      classes: '9',
      limit: 'lists agents that asked for a task, not those that never did',
    }),
    control('5.15', 'Access control', {
      coverage: 'enforces',
      classes: '3 4 6',
      limit: 'access of agents through Envoy',
    }),
    control('5.16', 'Identity management', {
      coverage: 'partial',
      classes: '1 9',
      limit: 'identities as SPIFFE presents them; their life cycle is managed elsewhere',
    }),
    control('5.17', 'Authentication information', {
      coverage: 'partial',
      classes: '2 7',
      limit: 'tokens of tasks, and static secrets that were stopped; secrets kept elsewhere are not known',
    }),
    control('5.18', 'Access rights', {
      coverage: 'enforces',
      classes: '2 3 4 5',
      limit: 'rights of tasks: granted, used and removed; standing rights elsewhere are not known',
    }),
    control('5.19', 'Information security in supplier relationships', {
      coverage: 'partial',
      classes: '3 4 11',
      limit: 'shows calls of agents to services of suppliers alone',
    }),
    control('5.23', 'Information security for use of cloud services', {
      coverage: 'partial',
      classes: '3 4 11',
      limit: 'shows calls of agents to cloud services through Envoy alone',
    }),
    control('5.25', 'Assessment and decision on information security events', {
      coverage: 'partial',
      classes: '7 11',
      limit: 'events and what was recognised in them; who assessed them is not recorded',
    }),
    control('5.26', 'Response to information security incidents', {
      coverage: 'partial',
      classes: '5 7',
      limit: 'credentials that were ended, by whom and why; other responses are not seen',
    }),
    control('5.28', 'Collection of evidence', {
      coverage: 'evidences',
      classes: '8 3 4',
      limit: 'evidence of calls by agents',
    }),
    control('5.33', 'Protection of records', {
      coverage: 'partial',
      classes: '8',
      limit: 'changes and losses of this ledger are found, by anchors that were kept elsewhere; they are not prevented',
    }),
    control('8.2', 'Privileged access rights', {
      coverage: 'partial',
      classes: '3 4 5',
      limit: 'actions of high risk by agents; privileges of persons are not known',
    }),
    control('8.3', 'Information access restriction', {
      coverage: 'enforces',
      classes: '3 4',
      limit: 'access of agents through Envoy, by action and argument',
    }),
    control('8.5', 'Secure authentication', {
      coverage: 'enforces',
      classes: '1 7',
      limit: 'workloads by mutual TLS; the sign-in of persons is elsewhere',
    }),
    control('8.9', 'Configuration management', {
      coverage: 'partial',
      classes: '6',
      limit: 'policies alone',
    }),
    control('8.15', 'Logging', {
      coverage: 'evidences',
      classes: '3 4 5 8 11',
      limit: 'calls of agents through Envoy',
    }),
    control('8.16', 'Monitoring activities', {
      coverage: 'evidences',
      classes: '4 7 10 11',
      limit: 'calls of agents through Envoy; who looked at it is not recorded',
    }),
    control('8.17', 'Clock synchronization', {
      coverage: 'partial',
      classes: '8',
      limit: 'steps of the clock of the machine are remarks of the verdict; its source is not known',
    }),
    control('8.32', 'Change management', {
      coverage: 'partial',
      classes: '6',
      limit: 'changes of policies: when, which, from where and by whom; their approval is elsewhere',
    }),
  ],
};
