import { LabIcon } from '@jupyterlab/ui-components';

const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">
  <g class="jp-icon3" fill="#616161">
    <path d="M2 2h12v4H2zm1.5 1.25v1.5H5v-1.5zM2 10h12v4H2zm1.5 1.25v1.5H5v-1.5z" fill-rule="evenodd"/>
    <path d="M7.25 6h1.5v4h-1.5z"/>
  </g>
</svg>`;

export const servingIcon = new LabIcon({ name: 'jupyter-tfserve:serving', svgstr: svg });
