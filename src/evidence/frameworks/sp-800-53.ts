/** NIST SP 800-53, revision 5. */
import { control, type Framework } from '../framework.ts';

/** @see NIST SP 800-53 revision 5, release 5.2.0 */
export const sp80053: Framework = {
  id: '800-53',
  title: 'NIST SP 800-53 Security and Privacy Controls',
  version: 'revision 5, release 5.2.0',
  source: 'NIST SP 800-53 Rev. 5',
  controls: [
    control('AC-2', 'Account Management', {
      coverage: 'partial',
      classes: '2 5 9',
      limit: 'tasks and their credentials, not accounts of people',
    }),
    control('AC-3', 'Access Enforcement', { coverage: 'enforces', classes: '3 4 11', limit: 'calls through Envoy' }),
    control('AC-4', 'Information Flow Enforcement', {
      coverage: 'partial',
      classes: '3 4',
      limit: 'by action and label; contents are not inspected',
    }),
    control('AC-6', 'Least Privilege', {
      coverage: 'enforces',
      classes: '2 3 4',
      limit: 'a task has what was asked for and granted; whether that is the least is for people to say',
    }),
    control('AC-6(9)', 'Log Use of Privileged Functions', {
      coverage: 'evidences',
      classes: '3 5',
      limit: 'functions that the catalog names',
    }),
    control('AC-12', 'Session Termination', {
      coverage: 'enforces',
      classes: '5 4',
      limit: 'tasks; a stream that was begun is ended as Envoy is configured',
    }),
    control('AC-24', 'Access Control Decisions', {
      coverage: 'enforces',
      classes: '3 4 6',
      limit: 'calls through Envoy',
    }),
    control('IA-3', 'Device Identification and Authentication', {
      coverage: 'partial',
      classes: '1',
      limit: 'workloads; devices are attested by SPIRE',
    }),
    control('IA-5', 'Authenticator Management', {
      coverage: 'partial',
      classes: '2 5',
      limit: 'tokens of tasks alone',
    }),
    control('IA-9', 'Service Identification and Authentication', {
      coverage: 'enforces',
      classes: '1',
      limit: 'callers; the services they call are authenticated by Envoy',
    }),
    control('IA-13', 'Identity Providers and Authorization Servers', {
      coverage: 'partial',
      classes: '2 5',
      limit: 'the authorization server of tasks',
    }),
    control('IA-13(3)', 'Token Management', {
      coverage: 'enforces',
      classes: '2 5 7',
      limit: 'tokens that Remit issued',
    }),
    control('AU-2', 'Event Logging', {
      coverage: 'evidences',
      classes: '3 4 5',
      limit: 'events of decisions and tasks; which events to log the organization selects',
    }),
    control('AU-3', 'Content of Audit Records', {
      coverage: 'evidences',
      classes: '3 4',
      limit: 'the sample shows the content',
    }),
    control('AU-6', 'Audit Record Review, Analysis, and Reporting', {
      coverage: 'partial',
      classes: '4 7',
      limit: 'this report; that it was read is not known here',
    }),
    control('AU-8', 'Time Stamps', {
      coverage: 'evidences',
      classes: '8',
      limit: 'by the clock of the machine; the verdict remarks on steps, anchors bound it',
    }),
    control('AU-9', 'Protection of Audit Information', {
      coverage: 'evidences',
      classes: '8',
      limit: 'as far as the verdict says',
    }),
    control('AU-10', 'Non-repudiation', {
      coverage: 'partial',
      classes: '1 3 8',
      limit: 'a workload, bound to a task; who used the workload is not known here',
    }),
    control('AU-12', 'Audit Record Generation', {
      coverage: 'evidences',
      classes: '3 4 8',
      limit: 'decisions of this Remit',
    }),
    control('SC-8', 'Transmission Confidentiality and Integrity', {
      coverage: 'partial',
      classes: '1',
      limit: 'mutual TLS up to Envoy',
    }),
    control('SC-23', 'Session Authenticity', {
      coverage: 'enforces',
      classes: '1 7',
      limit: 'tokens bound to a certificate or a DPoP key',
    }),
    control('SI-4', 'System Monitoring', { coverage: 'partial', classes: '4 7 11', limit: 'calls of agents alone' }),
    control('IR-4', 'Incident Handling', { coverage: 'partial', classes: '5', limit: 'containment by ending tasks' }),
  ],
};
