/** NIST Cybersecurity Framework 2.0. */
import { control, type Framework } from '../framework.ts';

/** @see NIST CSWP 29, The NIST Cybersecurity Framework (CSF) 2.0, 26 February 2024 */
export const csf20: Framework = {
  id: 'csf-2.0',
  title: 'NIST Cybersecurity Framework',
  version: '2.0',
  source: 'NIST CSWP 29, 26 February 2024',
  controls: [
    control(
      'GV.PO-01',
      'Policy for managing cybersecurity risks is established based on organizational context, cybersecurity strategy, and priorities and is communicated and enforced',
      {
        coverage: 'partial',
        classes: '6 3 4',
        limit: 'shows that policies of agents were enforced, not how they were established or communicated',
      },
    ),
    control(
      'GV.RR-02',
      'Roles, responsibilities, and authorities related to cybersecurity risk management are established, communicated, understood, and enforced',
      {
        coverage: 'partial',
        classes: '5 6',
        limit: 'shows who acted, not which role that person was given',
      },
    ),
    control(
      'GV.SC-07',
      'The risks posed by a supplier, their products and services, and other third parties are understood, recorded, prioritized, assessed, responded to, and monitored over the course of the relationship',
      {
        coverage: 'partial',
        classes: '3 4 11',
        limit: 'shows calls of agents to services of third parties alone',
      },
    ),
    control('ID.AM-02', 'Inventories of software, services, and systems managed by the organization are maintained', {
      coverage: 'partial',
      classes: '9',
      limit: 'lists agents that asked for a task, not those that never did',
    }),
    control(
      'ID.AM-03',
      "Representations of the organization's authorized network communication and internal and external network data flows are maintained",
      {
        coverage: 'partial',
        classes: '3 6',
        limit: 'the catalog names authorized flows of agents alone',
      },
    ),
    control('ID.AM-04', 'Inventories of services provided by suppliers are maintained', {
      coverage: 'partial',
      classes: '3 6',
      limit: 'lists services that agents may call, not who supplies them',
    }),
    control(
      'PR.AA-01',
      'Identities and credentials for authorized users, services, and hardware are managed by the organization',
      {
        coverage: 'evidences',
        classes: '1 2 5 9',
        limit: 'task credentials of workloads alone; the identities themselves are managed by SPIRE',
      },
    ),
    control('PR.AA-02', 'Identities are proofed and bound to credentials based on the context of interactions', {
      coverage: 'evidences',
      classes: '2 1',
      limit: 'shows the binding of tokens to workloads, not how a workload was attested',
    }),
    control('PR.AA-03', 'Users, services, and hardware are authenticated', {
      coverage: 'enforces',
      classes: '1',
      limit: 'workloads alone; authentication of people is that of their identity provider',
    }),
    control('PR.AA-04', 'Identity assertions are protected, conveyed, and verified', {
      coverage: 'enforces',
      classes: '2 3 7',
      limit: 'the assertions that pass this Remit',
    }),
    control(
      'PR.AA-05',
      'Access permissions, entitlements, and authorizations are defined in a policy, managed, enforced, and reviewed, and incorporate the principles of least privilege and separation of duties',
      {
        coverage: 'enforces',
        classes: '3 4 6',
        limit:
          'shows definition and enforcement; whether permissions were reviewed, or are the least, is for people to say',
      },
    ),
    control('PR.DS-02', 'The confidentiality, integrity, and availability of data-in-transit are protected', {
      coverage: 'partial',
      classes: '1',
      limit: 'shows mutual TLS up to Envoy, not what is behind it',
    }),
    control('PR.IR-01', 'Networks and environments are protected from unauthorized logical access and usage', {
      coverage: 'enforces',
      classes: '4 11',
      limit: 'calls that pass Envoy; a path around it is no call that is seen',
    }),
    control('PR.PS-04', 'Log records are generated and made available for continuous monitoring', {
      coverage: 'evidences',
      classes: '3 4 8',
      limit: 'records of decisions, not of what the services did with them',
    }),
    control('DE.CM-01', 'Networks and network services are monitored to find potentially adverse events', {
      coverage: 'partial',
      classes: '4 7 11',
      limit: 'calls of agents alone',
    }),
    control('DE.CM-03', 'Personnel activity and technology usage are monitored to find potentially adverse events', {
      coverage: 'partial',
      classes: '3 4 7',
      limit: 'usage by agents, and acts of operators on their tasks',
    }),
    control(
      'DE.CM-06',
      'External service provider activities and services are monitored to find potentially adverse events',
      {
        coverage: 'partial',
        classes: '3 4 11',
        limit: 'what agents asked of them, and how that was answered',
      },
    ),
    control(
      'DE.CM-09',
      'Computing hardware and software, runtime environments, and their data are monitored to find potentially adverse events',
      {
        coverage: 'partial',
        classes: '7 10',
        limit: 'agents by what they call, not by what they run',
      },
    ),
    control('DE.AE-02', 'Potentially adverse events are analyzed to better understand associated activities', {
      coverage: 'partial',
      classes: '4 7',
      limit: 'gives the analyst reason, task and trace; the analysis is not recorded',
    }),
    control('DE.AE-03', 'Information is correlated from multiple sources', {
      coverage: 'evidences',
      classes: '11',
      limit: "joins decisions with Envoy's access log and traces alone",
    }),
    control('DE.AE-06', 'Information on adverse events is provided to authorized staff and tools', {
      coverage: 'partial',
      classes: '4 7',
      limit: 'shows that the information was there, not that anybody was told',
    }),
    control(
      'RS.MA-01',
      'The incident response plan is executed in coordination with relevant third parties once an incident is declared',
      {
        coverage: 'partial',
        classes: '5',
        limit: 'shows what was stopped, when and by whom; the plan is not known here',
      },
    ),
    control(
      'RS.AN-03',
      'Analysis is performed to establish what has taken place during an incident and the root cause of the incident',
      {
        coverage: 'partial',
        classes: '3 4 5',
        limit: 'shows what took place at the calls; causes beyond them are for people',
      },
    ),
    control(
      'RS.AN-06',
      "Actions performed during an investigation are recorded, and the records' integrity and provenance are preserved",
      {
        coverage: 'partial',
        classes: '5 8',
        limit: 'acts on tasks alone',
      },
    ),
    control('RS.AN-07', 'Incident data and metadata are collected, and their integrity and provenance are preserved', {
      coverage: 'evidences',
      classes: '4 5 8',
      limit: 'data of decisions; see the verdict for how far their integrity goes',
    }),
    control('RS.MI-01', 'Incidents are contained', {
      coverage: 'partial',
      classes: '5 4',
      limit: 'shows that a task was stopped and its later calls denied',
    }),
    control('RS.MI-02', 'Incidents are eradicated', {
      coverage: 'none',
      limit: 'Remit stops credentials; it removes nothing from a machine',
    }),
  ],
};
