from diagrams import *
