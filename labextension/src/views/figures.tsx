import * as React from 'react';
import type { IFigures, IVersionFigures } from '../documents';
import { CURVE_HEIGHT, CURVE_WIDTH, curvePoints, describeCurve, describeFigures } from '../figures';
import { useServing } from './context';

/** The engine's figures while `element` can be seen; null for no engine, and while they are not known. */
export function useFigures(
  engine: string | null,
  element: React.RefObject<Element>
): IFigures | null {
  const { figures } = useServing().model;
  const isVisible = useVisible(element);
  React.useEffect(() => {
    if (engine === null || !isVisible) {
      return;
    }
    const watch = figures.watch(engine);
    return () => watch.dispose();
  }, [figures, engine, isVisible]);
  const subscribe = React.useCallback(
    (notify: () => void) => {
      figures.changed.connect(notify);
      return () => {
        figures.changed.disconnect(notify);
      };
    },
    [figures]
  );
  return React.useSyncExternalStore(subscribe, () => (engine === null ? null : figures.of(engine)));
}

/** What a version answered in the last minute, how it batches, and what it takes. */
export function VersionFigures(props: { readonly figures: IVersionFigures }): React.ReactElement {
  const { trans } = useServing();
  const { figures } = props;
  const groups = describeFigures(figures, Date.now() / 1000, trans);
  return (
    <div className="jp-tfserve-Figures" data-rate={figures.requests_per_second}>
      <Curve figures={figures} />
      <div className="jp-tfserve-FigureGroups">
        {groups.map((parts, index) => (
          <ul key={index}>
            {parts.map(part => (
              <li key={part}>{part}</li>
            ))}
          </ul>
        ))}
      </div>
    </div>
  );
}

function Curve(props: { readonly figures: IVersionFigures }): React.ReactElement | null {
  const { trans } = useServing();
  const history = props.figures.history ?? [];
  const text = describeCurve(history, trans);
  if (text === '') {
    return null;
  }
  return (
    <svg
      className="jp-tfserve-Curve"
      role="img"
      aria-label={text}
      width={CURVE_WIDTH}
      height={CURVE_HEIGHT}
      viewBox={`0 0 ${CURVE_WIDTH} ${CURVE_HEIGHT}`}
    >
      <line x1="0" x2={CURVE_WIDTH} y1={CURVE_HEIGHT - 0.5} y2={CURVE_HEIGHT - 0.5} />
      <polyline points={curvePoints(history)} />
    </svg>
  );
}

/** Whether any of the element is on the screen: a hidden sidebar is not, nor a cell that was scrolled away. */
function useVisible(element: React.RefObject<Element>): boolean {
  const [isVisible, setVisible] = React.useState(false);
  React.useEffect(() => {
    if (element.current === null) {
      return;
    }
    const observer = new IntersectionObserver(entries => {
      // Several if it came and went: the last one holds.
      setVisible(entries.at(-1)?.isIntersecting === true);
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return isVisible;
}
