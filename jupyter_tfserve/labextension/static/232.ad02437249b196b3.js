"use strict";(self.rspackChunkjupyter_tfserve=self.rspackChunkjupyter_tfserve||[]).push([[232],{475(e,r,t){var o=t(601),a=t.n(o),n=t(314),p=(t.n(n))()(a());p.push([e.id,`/* Colours come from the theme alone, so that light, dark and high contrast all fit. */

.jp-tfserve-Panel {
  color: var(--jp-ui-font-color1);
  background: var(--jp-layout-color1);
  font-family: var(--jp-ui-font-family);
  font-size: var(--jp-ui-font-size1);
  overflow: auto;
  min-width: 240px;
}

.jp-tfserve-Panel-content {
  display: flex;
  flex-direction: column;
  gap: 8px;
  padding: 8px 12px 24px;
}

.jp-tfserve-Card {
  padding: 4px 0;
}

.jp-tfserve-Card-content {
  max-width: 760px;
  padding: 10px 14px;
  color: var(--jp-ui-font-color1);
  background: var(--jp-layout-color1);
  border: 1px solid var(--jp-border-color1);
  border-radius: 4px;
  font-family: var(--jp-ui-font-family);
  font-size: var(--jp-ui-font-size1);
}

.jp-tfserve-Panel h2,
.jp-tfserve-Panel h3,
.jp-tfserve-Panel h4,
.jp-tfserve-Card h3,
.jp-tfserve-Card h4 {
  margin: 0;
  font-size: var(--jp-ui-font-size1);
  font-weight: 600;
  overflow-wrap: anywhere;
}

.jp-tfserve-Panel h4,
.jp-tfserve-Card h4 {
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
}

.jp-tfserve-Panel p,
.jp-tfserve-Card p {
  margin: 2px 0;
  overflow-wrap: anywhere;
}

.jp-tfserve-Header {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 6px;
}

.jp-tfserve-Header > :first-child {
  flex: 1 1 auto;
}

.jp-tfserve-Engine {
  display: flex;
  flex-direction: column;
  gap: 4px;
  padding-top: 10px;
  border-top: 1px solid var(--jp-border-color2);
}

.jp-tfserve-Model {
  margin: 6px 0;
  padding: 8px;
  background: var(--jp-layout-color0);
  border: 1px solid var(--jp-border-color2);
  border-radius: 4px;
}

/* Beside the name where there is room. */
.jp-tfserve-Fold > summary > div {
  display: inline-flex;
  margin-left: 10px;
}

.jp-tfserve-Fold > :not(summary) {
  margin-top: 6px;
}

.jp-tfserve-Fold > summary {
  cursor: pointer;
}

/* Long names go on beside the mark that opens them. */
.jp-tfserve-Fold > summary > h4 {
  display: inline;
  word-break: break-all;
}

.jp-tfserve-hint,
.jp-tfserve-Busy {
  color: var(--jp-ui-font-color2);
}

.jp-tfserve-Address,
.jp-tfserve-Addresses {
  display: flex;
  align-items: center;
  gap: 4px 8px;
}

.jp-tfserve-Addresses {
  flex-wrap: wrap;
  gap: 4px 16px;
}

.jp-tfserve-Address > span {
  min-width: 34px;
}

.jp-tfserve-Panel .jp-tfserve-Address code,
.jp-tfserve-Card .jp-tfserve-Addresses code {
  padding: 0;
  color: inherit;
  background: none;
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-ui-font-size0);
  overflow-wrap: anywhere;
}

.jp-tfserve-actions {
  display: flex;
  flex-wrap: wrap;
  gap: 6px;
}

.jp-tfserve-Button {
  padding: 2px 8px;
  min-height: 24px;
  color: var(--jp-ui-font-color1);
  background: var(--jp-layout-color2);
  border: 1px solid var(--jp-border-color1);
  border-radius: 3px;
  font-family: inherit;
  font-size: inherit;
  cursor: pointer;
}

.jp-tfserve-Button.jp-mod-icon {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  padding: 0;
  width: 24px;
  background: none;
  border-color: transparent;
}

.jp-tfserve-Button:hover:not(:disabled) {
  background: var(--jp-layout-color3);
}

.jp-tfserve-Button:disabled {
  opacity: 0.55;
  cursor: default;
}

.jp-tfserve-Button.jp-mod-accept {
  color: var(--jp-ui-inverse-font-color0, var(--jp-ui-inverse-font-color1));
  background: var(--jp-accept-color-normal, var(--jp-brand-color1));
  border-color: transparent;
}

.jp-tfserve-Button.jp-mod-accept:hover:not(:disabled) {
  background: var(--jp-accept-color-hover, var(--jp-brand-color0));
}

.jp-tfserve-Button.jp-mod-warn {
  color: var(--jp-ui-inverse-font-color0, var(--jp-ui-inverse-font-color1));
  background: var(--jp-warn-color-normal, var(--jp-error-color1));
  border-color: transparent;
}

.jp-tfserve-Panel :focus-visible,
.jp-tfserve-Card :focus-visible,
.jp-tfserve-StatusItem :focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: 1px;
}

.jp-tfserve-Versions {
  width: 100%;
  margin: 0;
  border-collapse: collapse;
  font-size: var(--jp-ui-font-size1);
  table-layout: auto;
}

.jp-tfserve-Versions th,
.jp-tfserve-Versions td {
  padding: 3px 6px 3px 0;
  color: var(--jp-ui-font-color1);
  background: none;
  border: none;
  text-align: left;
  vertical-align: top;
  white-space: normal;
}

.jp-tfserve-Versions th:first-child {
  width: 1%;
  padding-right: 10px;
  white-space: nowrap;
}

/* A narrow place has no room for what a person sees anyway. */
.jp-tfserve-Panel .jp-tfserve-Versions thead {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
}

.jp-tfserve-Panel .jp-tfserve-Versions tbody th::before {
  content: 'v';
}

.jp-tfserve-Versions thead th {
  color: var(--jp-ui-font-color2);
  font-weight: normal;
}

.jp-tfserve-Versions tbody tr {
  border-top: 1px solid var(--jp-border-color3);
}

.jp-tfserve-State {
  white-space: nowrap;
}

.jp-tfserve-State::before {
  display: inline-block;
  width: 8px;
  height: 8px;
  margin-right: 5px;
  background: var(--jp-ui-font-color3);
  border-radius: 50%;
  content: '';
}

.jp-tfserve-State[data-state='available']::before,
.jp-tfserve-State[data-state='running']::before,
.jp-tfserve-State[data-state='live']::before {
  background: var(--jp-success-color1);
}

.jp-tfserve-State[data-state='start']::before,
.jp-tfserve-State[data-state='loading']::before,
.jp-tfserve-State[data-state='unloading']::before,
.jp-tfserve-State[data-state='starting']::before,
.jp-tfserve-State[data-state='restarting']::before,
.jp-tfserve-State[data-state='stopping']::before {
  background: var(--jp-warn-color1);
}

.jp-tfserve-State[data-state='failed']::before {
  background: var(--jp-error-color1);
  border-radius: 0;
}

/* What was, not what is. */
.jp-tfserve-Card-content[data-live='false'] .jp-tfserve-Model .jp-tfserve-State::before {
  background: var(--jp-ui-font-color3);
}

.jp-tfserve-StateAndLabels {
  display: flex;
  flex-wrap: wrap;
  align-items: baseline;
  gap: 4px 8px;
}

.jp-tfserve-Figures {
  display: flex;
  flex-wrap: wrap;
  align-items: center;
  gap: 2px 8px;
  padding: 2px 0;
  color: var(--jp-ui-font-color2);
  font-variant-numeric: tabular-nums;
}

/* Beside the curve where there is room, below it in a narrow sidebar. */
.jp-tfserve-FigureGroups {
  flex: 1 1 180px;
}

.jp-tfserve-FigureGroups ul {
  display: flex;
  flex-wrap: wrap;
  gap: 0 12px;
  margin: 0;
  padding: 0;
  list-style: none;
}

/* A number stays with its unit. */
.jp-tfserve-FigureGroups li {
  white-space: nowrap;
}

.jp-tfserve-Curve line {
  stroke: var(--jp-border-color2);
}

.jp-tfserve-Curve polyline {
  fill: none;
  stroke: var(--jp-brand-color1);
  stroke-width: 1.2;
}

/* Before the theme's rule for all buttons. */
.jp-tfserve-Versions .jp-tfserve-Chip {
  display: inline-block;
  padding: 1px 8px;
  max-width: 100%;
  color: var(--jp-ui-font-color1);
  background: var(--jp-layout-color2);
  border: 1px solid var(--jp-brand-color1);
  border-radius: 10px;
  font-family: inherit;
  font-size: inherit;
  overflow-wrap: anywhere;
}

.jp-tfserve-Versions button.jp-tfserve-Chip {
  cursor: pointer;
}

.jp-tfserve-Versions button.jp-tfserve-Chip:hover {
  background: var(--jp-layout-color3);
}

.jp-tfserve-Form {
  display: grid;
  grid-template-columns: max-content minmax(0, 1fr);
  gap: 6px 8px;
  align-items: center;
  padding: 8px;
  background: var(--jp-layout-color1);
  border: 1px solid var(--jp-border-color1);
  border-radius: 4px;
}

.jp-tfserve-Form > p,
.jp-tfserve-Form > .jp-tfserve-actions,
.jp-tfserve-Preview {
  grid-column: 1 / -1;
}

.jp-tfserve-Policy {
  display: flex;
  align-items: center;
  gap: 8px;
}

.jp-tfserve-Form input,
.jp-tfserve-Form select,
.jp-tfserve-Policy select,
.jp-tfserve-Programs {
  min-height: 26px;
  width: 100%;
  box-sizing: border-box;
  color: var(--jp-ui-font-color1);
  background: var(--jp-input-background, var(--jp-layout-color1));
  border: 1px solid var(--jp-border-color1);
  border-radius: 3px;
  font-family: inherit;
  font-size: inherit;
}

.jp-tfserve-Programs {
  width: auto;
}

.jp-tfserve-Preview {
  padding-left: 8px;
  border-left: 3px solid var(--jp-brand-color1);
}

.jp-tfserve-Note {
  padding: 6px 8px;
  background: var(--jp-layout-color2);
  border-left: 3px solid var(--jp-brand-color1);
}

.jp-tfserve-Note.jp-mod-failure {
  border-left-color: var(--jp-error-color1);
}

.jp-tfserve-Note.jp-mod-done {
  border-left-color: var(--jp-success-color1);
}

.jp-tfserve-reason {
  padding-left: 6px;
  border-left: 2px solid var(--jp-error-color1);
}

.jp-tfserve-Panel pre,
.jp-tfserve-Card pre {
  margin: 4px 0;
  padding: 6px;
  max-height: 260px;
  overflow: auto;
  color: var(--jp-ui-font-color1);
  background: var(--jp-layout-color2);
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  white-space: pre-wrap;
  overflow-wrap: anywhere;
}

.jp-tfserve-History {
  margin: 0;
  padding-left: 18px;
  max-height: 320px;
  overflow: auto;
}

.jp-tfserve-StatusItem button {
  height: 100%;
  padding: 0 6px;
  color: inherit;
  background: none;
  border: none;
  font: inherit;
  cursor: pointer;
}

/* Heard, not seen. */
.jp-tfserve-Announcer {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
`,""]),t.d(r,{},{A:p})},314(e){e.exports=function(e){var r=[];return r.toString=function(){return this.map(function(r){var t="",o=void 0!==r[5];return r[4]&&(t+="@supports (".concat(r[4],") {")),r[2]&&(t+="@media ".concat(r[2]," {")),o&&(t+="@layer".concat(r[5].length>0?" ".concat(r[5]):""," {")),t+=e(r),o&&(t+="}"),r[2]&&(t+="}"),r[4]&&(t+="}"),t}).join("")},r.i=function(e,t,o,a,n){"string"==typeof e&&(e=[[null,e,void 0]]);var p={};if(o)for(var s=0;s<this.length;s++){var i=this[s][0];null!=i&&(p[i]=!0)}for(var l=0;l<e.length;l++){var d=[].concat(e[l]);o&&p[d[0]]||(void 0!==n&&(void 0===d[5]||(d[1]="@layer".concat(d[5].length>0?" ".concat(d[5]):""," {").concat(d[1],"}")),d[5]=n),t&&(d[2]&&(d[1]="@media ".concat(d[2]," {").concat(d[1],"}")),d[2]=t),a&&(d[4]?(d[1]="@supports (".concat(d[4],") {").concat(d[1],"}"),d[4]=a):d[4]="".concat(a)),r.push(d))}},r}},601(e){e.exports=function(e){return e[1]}},72(e){var r=[];function t(e){for(var t=-1,o=0;o<r.length;o++)if(r[o].identifier===e){t=o;break}return t}function o(e,o){for(var a={},n=[],p=0;p<e.length;p++){var s=e[p],i=o.base?s[0]+o.base:s[0],l=a[i]||0,d="".concat(i," ").concat(l);a[i]=l+1;var f=t(d),c={css:s[1],media:s[2],sourceMap:s[3],supports:s[4],layer:s[5]};if(-1!==f)r[f].references++,r[f].updater(c);else{var v=function(e,r){var t=r.domAPI(r);return t.update(e),function(r){r?(r.css!==e.css||r.media!==e.media||r.sourceMap!==e.sourceMap||r.supports!==e.supports||r.layer!==e.layer)&&t.update(e=r):t.remove()}}(c,o);o.byIndex=p,r.splice(p,0,{identifier:d,updater:v,references:1})}n.push(d)}return n}e.exports=function(e,a){var n=o(e=e||[],a=a||{});return function(e){e=e||[];for(var p=0;p<n.length;p++){var s=t(n[p]);r[s].references--}for(var i=o(e,a),l=0;l<n.length;l++){var d=t(n[l]);0===r[d].references&&(r[d].updater(),r.splice(d,1))}n=i}}},659(e){var r={};e.exports=function(e,t){var o=function(e){if(void 0===r[e]){var t=document.querySelector(e);if(window.HTMLIFrameElement&&t instanceof window.HTMLIFrameElement)try{t=t.contentDocument.head}catch(e){t=null}r[e]=t}return r[e]}(e);if(!o)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");o.appendChild(t)}},540(e){e.exports=function(e){var r=document.createElement("style");return e.setAttributes(r,e.attributes),e.insert(r,e.options),r}},56(e,r,t){e.exports=function(e){var r=t.nc;r&&e.setAttribute("nonce",r)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var r=e.insertStyleElement(e);return{update:function(t){var o,a,n;o="",t.supports&&(o+="@supports (".concat(t.supports,") {")),t.media&&(o+="@media ".concat(t.media," {")),(a=void 0!==t.layer)&&(o+="@layer".concat(t.layer.length>0?" ".concat(t.layer):""," {")),o+=t.css,a&&(o+="}"),t.media&&(o+="}"),t.supports&&(o+="}"),(n=t.sourceMap)&&"u">typeof btoa&&(o+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),e.styleTagTransform(o,r,e.options)},remove:function(){var e;null===(e=r).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,r){if(r.styleSheet)r.styleSheet.cssText=e;else{for(;r.firstChild;)r.removeChild(r.firstChild);r.appendChild(document.createTextNode(e))}}},579(e,r,t){var o=t(72),a=t.n(o),n=t(825),p=t.n(n),s=t(659),i=t.n(s),l=t(56),d=t.n(l),f=t(540),c=t.n(f),v=t(113),u=t.n(v),j=t(475),h={};h.styleTagTransform=u(),h.setAttributes=d(),h.insert=i().bind(null,"head"),h.domAPI=p(),h.insertStyleElement=c(),a()(j.A,h),j.A&&j.A.locals&&j.A.locals}}]);