import { stringify } from 'yaml';
import { filled, INJECT_LABEL } from './fragment.ts';
import type { Fragment, Setting } from './fragment.ts';

/** Marks the place of a setting until the YAML is written, so that the template is in no quotes. */
const mark = ({ annotation, byDefault }: Setting): string => `\u2039${annotation}\u203a${byDefault}\u203a`;

/**
 * Helm values of istiod with a template named `remit` for its injector, as YAML. A pod asks for it with the annotation
 * `inject.istio.io/templates: sidecar,remit`. Values of annotations are quoted, since the template makes text.
 *
 * @see https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/#custom-templates-experimental
 */
export function istioTemplate(fragment: Fragment): string {
  const pod = {
    spec: { initContainers: [filled(fragment.container, mark)], volumes: filled(fragment.volumes, mark) },
  };
  // An annotation in the template would be too late: `istio-init` is made from the annotations of the pod, or from this value if it has none.
  const global = { proxy: { excludeInboundPorts: fragment.portLists.map(({ port }) => port).join() } };
  const text = stringify(pod, { lineWidth: 0 }).replace(
    /\u2039([^\u203a]*)\u203a([^\u203a]*)\u203a/g,
    (_all, annotation: string, byDefault: string) =>
      `{{ printf "%q" (or (index .ObjectMeta.Annotations ${JSON.stringify(annotation)}) ${JSON.stringify(byDefault)}) }}`,
  );
  const template = [
    `{{- if eq (index .ObjectMeta.Labels "${INJECT_LABEL}") "disabled" }}`,
    'spec: {}',
    '{{- else }}',
    text.trimEnd(),
    `{{- with index .ObjectMeta.Annotations ${JSON.stringify(fragment.pullSecret.annotation)} }}`,
    '  imagePullSecrets: [{ name: {{ printf "%q" . }} }]',
    '{{- end }}',
    '{{- end }}\n',
  ].join('\n');
  return stringify({ global, sidecarInjectorWebhook: { templates: { remit: template } } }, { lineWidth: 0 });
}
