"""The widget panel of `%tfserve panel`: pure views, a thin layer of widgets, and a thread that follows the engine."""
