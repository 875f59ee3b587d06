/** SOC 2, common criteria. */
import { control, type Framework } from '../framework.ts';

/**
 * Criteria have no titles: each is given by its words. They were compared with public copies of the section in compliance repositories, several
 * for each criterion. All are equal, but that some write `incident response` without the hyphen of CC7.4.
 *
 * @see AICPA TSP section 100, 2017, with revised points of focus of 2022
 */
export const soc2: Framework = {
  id: 'soc-2',
  title: 'SOC 2: Trust Services Criteria, common criteria',
  version: '2017, revised points of focus 2022',
  source: 'AICPA, TSP section 100',
  controls: [
    control(
      'CC4.1',
      'The entity selects, develops, and performs ongoing and/or separate evaluations to ascertain whether the components of internal control are present and functioning.',
      {
        coverage: 'partial',
        classes: '8 11',
        limit: 'decisions compared with what Envoy did, continuously; evaluations by persons are not recorded',
      },
    ),
    control(
      'CC6.1',
      "The entity implements logical access security software, infrastructure, and architectures over protected information assets to protect them from security events to meet the entity's objectives.",
      {
        coverage: 'enforces',
        classes: '1 3 4 6',
        limit: 'access of agents through Envoy',
      },
    ),
    control(
      'CC6.2',
      'Prior to issuing system credentials and granting system access, the entity registers and authorizes new internal and external users whose access is administered by the entity. For those users whose access is administered by the entity, user system credentials are removed when user access is no longer authorized.',
      {
        coverage: 'partial',
        classes: '2 5',
        limit: 'credentials of tasks; the registration of persons and workloads is elsewhere',
      },
    ),
    control(
      'CC6.3',
      "The entity authorizes, modifies, or removes access to data, software, functions, and other protected information assets based on roles, responsibilities, or the system design and changes, giving consideration to the concepts of least privilege and segregation of duties, to meet the entity's objectives.",
      {
        coverage: 'enforces',
        classes: '2 3 4 5 6',
        limit: 'access of tasks; roles of persons are not known',
      },
    ),
    control(
      'CC6.6',
      'The entity implements logical access security measures to protect against threats from sources outside its system boundaries.',
      {
        coverage: 'partial',
        classes: '1 4 7',
        limit: 'agents alone, at the Envoy that asks Remit',
      },
    ),
    control(
      'CC6.7',
      "The entity restricts the transmission, movement, and removal of information to authorized internal and external users and processes, and protects it during transmission, movement, or removal to meet the entity's objectives.",
      {
        coverage: 'partial',
        classes: '3 4',
        limit: 'which calls were let through, by action and argument; what a body says beside that is not seen',
      },
    ),
    control(
      'CC7.2',
      "The entity monitors system components and the operation of those components for anomalies that are indicative of malicious acts, natural disasters, and errors affecting the entity's ability to meet its objectives; anomalies are analyzed to determine whether they represent security events.",
      {
        coverage: 'evidences',
        classes: '4 7 10 11',
        limit: 'calls of agents; who analyzed them is not recorded',
      },
    ),
    control(
      'CC7.3',
      'The entity evaluates security events to determine whether they could or have resulted in a failure of the entity to meet its objectives (security incidents) and, if so, takes actions to prevent or address such failures.',
      {
        coverage: 'partial',
        classes: '5 7 11',
        limit: 'events and the credentials that were ended; who evaluated them is not recorded',
      },
    ),
    control(
      'CC7.4',
      'The entity responds to identified security incidents by executing a defined incident-response program to understand, contain, remediate, and communicate security incidents, as appropriate.',
      {
        coverage: 'partial',
        classes: '5 7',
        limit: 'containment by the end of tasks and tokens alone',
      },
    ),
    control(
      'CC8.1',
      'The entity authorizes, designs, develops or acquires, configures, documents, tests, approves, and implements changes to infrastructure, data, software, and procedures to meet its objectives.',
      {
        coverage: 'partial',
        classes: '6',
        limit: 'changes of policies: when, which, from where and by whom; their approval is elsewhere',
      },
    ),
  ],
};
