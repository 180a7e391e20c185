import { Chart, Filler, Legend, LinearScale, LineController, LineElement, PointElement, Tooltip } from 'chart.js'

// Loaded when the first chart is drawn, with no more of the library than the charts here need.

Chart.register(Filler, Legend, LinearScale, LineController, LineElement, PointElement, Tooltip)

export { Chart }
